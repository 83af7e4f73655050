// Animated GIF files, through giflib.

import CImageCodecs
import Tensor

/// Reading and writing animated GIF files.
public enum GIF {
  /// The frames of a file as they are seen one after the other.
  public struct Animation: Sendable {
    /// `u8`, `[frames, height, width, 3]`; black where no frame has drawn.
    public var frames: Tensor
    /// How long each frame is shown, in hundredths of a second.
    public var delays: [Int]

    /// As far as the delays tell; nil when they do not.
    public var framesPerSecond: Double? {
      let total = delays.reduce(0, +)
      return total > 0 ? Double(delays.count) * 100 / Double(total) : nil
    }
  }

  /// Reads all frames, or the first ones.
  ///
  /// - Parameters:
  ///   - options: pixels are counted over all frames
  ///   - most: frames that are read
  /// - Throws: `FileError` when the file cannot be mapped, `ImageError` when it is too large or damaged
  public static func read(
    path: String, options: ImageOptions = ImageOptions(), most: Int = .max
  ) throws -> Animation {
    try read(MappedFile(path: path), options: options, most: most)
  }

  /// Reads frames from a file that is mapped already, or from bytes in memory.
  public static func read(
    _ file: MappedFile, options: ImageOptions = ImageOptions(), most: Int = .max
  ) throws -> Animation {
    try file.withBytes { bytes in
      let decoder = try GIFDecoder(bytes, path: file.path)
      var frames: [Tensor] = [], delays: [Int] = []
      while frames.count < most, let (frame, delay) = try decoder.next(limit: options.maximumPixels, of: frames.count) {
        frames.append(frame)
        delays.append(delay)
      }
      guard !frames.isEmpty else { throw ImageError(file.path, .gif, .damaged("the file has no frame")) }
      return Animation(frames: stacked(frames), delays: delays)
    }
  }
}

/// One GIF file being read. `bytes` must outlive it.
private final class GIFDecoder {
  private let reader: OpaquePointer
  private let path: String
  private let height, width: Int

  init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
    var width: UInt32 = 0, height: UInt32 = 0
    let (reader, message) = withCodecMessage { message in
      cic_gif_open(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, &width, &height, message)
    }
    guard let reader else { throw ImageError(path, .gif, .damaged(message)) }
    self.reader = reader
    self.path = path
    (self.height, self.width) = (Int(height), Int(width))
  }

  deinit { cic_gif_close(reader) }

  /// - Parameters:
  ///   - limit: of the pixels of all frames together
  ///   - count: frames read so far
  /// - Returns: `[height, width, 3]` and its delay; nil at the end
  func next(limit: Int, of count: Int) throws -> (frame: Tensor, delay: Int)? {
    guard let pixels = checkedProduct(width * height, count + 1), pixels <= limit else {
      throw ImageError(path, .gif, .tooLarge(width: width, height: height * (count + 1), limit: limit))
    }
    var delay: Int32 = 0, atEnd: Int32 = 0
    let (canvas, message) = withCodecMessage { cic_gif_next(reader, &delay, &atEnd, $0) }
    if atEnd == 1 { return nil }
    guard let canvas else { throw ImageError(path, .gif, .damaged(message)) }
    var frame = Tensor(uninitialized: [height, width, 3], dtype: .u8)
    frame.freshPointer(as: UInt8.self).update(from: canvas, count: frame.byteCount)
    return (frame, Int(delay))
  }
}

/// An animated GIF file that is made frame by frame: only the encoded bytes stay in memory.
///
/// Every frame has the 256 colours of its own that a median cut finds, which is the best the format can do.
public final class GIFWriter {
  private var writer: OpaquePointer?
  private let name: String
  private let height, width: Int
  private let framesPerSecond: Double
  private var count = 0

  /// - Parameters:
  ///   - framesPerSecond: up to 50, which is as fast as browsers show them
  ///   - comment: ASCII that programs may read from the file
  ///   - name: stands for the path in error messages
  /// - Throws: `ImageError` for sides that a GIF cannot have
  public init(
    height: Int, width: Int, framesPerSecond: Double, comment: String? = nil, name: String = "in memory"
  ) throws {
    self.name = name
    (self.height, self.width) = (height, width)
    self.framesPerSecond = min(max(framesPerSecond, 0.01), 50)
    let (writer, message) = withCodecMessage { message in
      cic_gif_create(UInt32(clamping: width), UInt32(clamping: height), comment, message)
    }
    guard let writer else { throw ImageError(name, .gif, .unwritable(message)) }
    self.writer = writer
  }

  deinit { if let writer { cic_gif_discard(writer) } }

  /// - Parameter frame: `u8`, `[height, width, 3]`
  /// - Throws: `ImageError`
  public func add(_ frame: Tensor) throws {
    guard frame.dtype == .u8, frame.shape == [height, width, 3], let writer else {
      throw ImageError(
        name, .gif, .unwritable("expected u8 [\(height), \(width), 3], found \(frame.dtype) \(frame.shape)"))
    }
    // Delays are whole hundredths: the end of every frame is rounded, so that the errors do not add up.
    func end(_ frames: Int) -> Int { Int((Double(frames) * 100 / framesPerSecond).rounded()) }
    let delay = Int32(clamping: min(end(count + 1) - end(count), 65535))
    let (succeeded, message) = frame.withContiguousBytes { bytes in
      withCodecMessage { cic_gif_add(writer, bytes.bindMemory(to: UInt8.self).baseAddress, delay, $0) }
    }
    guard succeeded == 1 else { throw ImageError(name, .gif, .unwritable(message)) }
    count += 1
  }

  /// The bytes of the file. The writer takes no more frames.
  ///
  /// - Throws: `ImageError` when there is no frame
  public func finish() throws -> [UInt8] {
    guard let writer, count > 0 else { throw ImageError(name, .gif, .unwritable("it has no frame")) }
    self.writer = nil
    var size = 0
    let (bytes, message) = withCodecMessage { cic_gif_finish(writer, &size, $0) }
    guard let bytes else { throw ImageError(name, .gif, .unwritable(message)) }
    defer { cic_free(bytes) }
    return Array(UnsafeBufferPointer(start: bytes, count: size))
  }
}
