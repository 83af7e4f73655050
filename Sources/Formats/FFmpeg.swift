// Videos through the ffmpeg program, which people install for themselves.

import Foundation
import Tensor

/// The `ffmpeg` program of this machine: for the formats of videos that no library here reads or writes, such as MP4.
public struct FFmpeg: Sendable {
  public let path: String

  /// The program on the path.
  ///
  /// - Throws: `VideoError.noProgram` when there is none
  public init() throws(VideoError) {
    guard let path = Self.find() else { throw .noProgram }
    self.path = path
  }

  /// Whether the program is on the path.
  public static var isInstalled: Bool { find() != nil }

  private static func find() -> String? {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/ffmpeg" }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// Reads the first frames of a video file.
  ///
  /// - Parameters:
  ///   - most: frames that are read
  ///   - options: pixels are counted over all frames
  /// - Returns: `u8`, `[frames, height, width, 3]`
  /// - Throws: `VideoError`, and `ImageError` when the frames are too many or too large
  public func read(_ file: String, most: Int, options: ImageOptions = ImageOptions()) throws -> Tensor {
    // As portable pixmaps, which say how large they are. A name is a file's, whatever it looks like.
    let process = try Invocation(
      path,
      [
        "-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-i", "file:\(file)", "-map", "0:v:0",
        "-frames:v", "\(most)", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-",
      ], readsOutput: true)
    var frames: [Tensor] = []
    while let frame = try process.nextPixmap(file, before: frames.count, limit: options.maximumPixels) {
      if let first = frames.first, first.shape != frame.shape { throw VideoError.unreadable(file, "its size changes") }
      frames.append(frame)
    }
    try process.finish { VideoError.unreadable(file, $0) }
    guard !frames.isEmpty else { throw VideoError.unreadable(file, "it has no frames") }
    return stacked(frames)
  }

  /// Begins an MP4 file (H.264, which every browser and player shows).
  ///
  /// - Parameter file: where ffmpeg writes it
  public func writer(
    _ file: String, height: Int, width: Int, framesPerSecond: Double, comment: String
  ) throws -> Writer {
    // H.264 in the colours that players know has even sides: an odd one gets a row or column more.
    let process = try Invocation(
      path,
      [
        "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "\(width)x\(height)", "-r",
        "\(framesPerSecond)", "-i", "-", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-crf", "18",
        "-metadata", "comment=\(comment)", "-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart",
        "-f", "mp4", "file:\(file)",
      ], readsOutput: false)
    return Writer(process: process, file: file)
  }

  /// A video file that is being written.
  public struct Writer {
    fileprivate let process: Invocation
    fileprivate let file: String

    /// - Parameter frame: `u8`, `[height, width, 3]`
    public func add(_ frame: Tensor) throws { frame.withContiguousBytes { process.write($0) } }

    /// - Throws: `VideoError` with what ffmpeg said
    public func finish() throws { try process.finish { VideoError.unwritable(file, $0) } }
  }
}

public enum VideoError: Error, Equatable, CustomStringConvertible {
  case noProgram
  case notStarted(String)
  /// A file, and what ffmpeg said of it.
  case unreadable(String, String)
  case unwritable(String, String)

  public var description: String {
    switch self {
    case .noProgram:
      "the program 'ffmpeg' is not on the path: it reads MP4 and other videos (on Debian and Ubuntu: apt-get install "
        + "ffmpeg); a folder of pictures or an animated GIF need no program"
    case .notStarted(let reason): "ffmpeg did not start: \(reason)"
    case .unreadable(let file, let reason): "video \(file): ffmpeg cannot read it: \(reason)"
    case .unwritable(let file, let reason): "video \(file): ffmpeg cannot write it: \(reason)"
    }
  }
}

/// One running ffmpeg, of which one pipe is ours.
private final class Invocation {
  private let process = Process()
  private let pipe = Pipe()
  /// What it says goes to a file: a pipe that nobody empties would hold it up.
  private let messages: FileHandle
  private let messagesPath: String

  init(_ program: String, _ arguments: [String], readsOutput: Bool) throws {
    messagesPath = FileManager.default.temporaryDirectory.appendingPathComponent("ffmpeg-\(UUID().uuidString)").path
    guard FileManager.default.createFile(atPath: messagesPath, contents: nil),
      let messages = FileHandle(forUpdatingAtPath: messagesPath)
    else { throw VideoError.notStarted("\(messagesPath) cannot be created") }
    self.messages = messages
    // Open as long as needed, and nowhere to be seen.
    unlink(messagesPath)
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardInput = readsOutput ? FileHandle.nullDevice : pipe
    process.standardOutput = readsOutput ? pipe : FileHandle.nullDevice
    process.standardError = messages
    do { try process.run() } catch { throw VideoError.notStarted("\(error.localizedDescription)") }
  }

  deinit { if process.isRunning { process.terminate() } }

  func write(_ bytes: UnsafeRawBufferPointer) {
    // A program that ended early is told of when it is finished.
    try? pipe.fileHandleForWriting.write(contentsOf: Data(bytes))
  }

  /// `[height, width, 3]`; nil at the end.
  func nextPixmap(_ file: String, before count: Int, limit: Int) throws -> Tensor? {
    guard let width = try header(file, isFirst: true) else { return nil }
    guard let height = try header(file), try header(file) == 255 else { throw ended(file) }
    guard width > 0, height > 0, let pixels = checkedProduct(width, height),
      let total = checkedProduct(pixels, count + 1), total <= limit
    else { throw ImageError(file, nil, .tooLarge(width: width, height: height * (count + 1), limit: limit)) }
    var frame = Tensor(uninitialized: [height, width, 3], dtype: .u8)
    let bytes = try read(frame.byteCount)
    guard bytes.count == frame.byteCount else { throw ended(file) }
    let target = UnsafeMutableRawBufferPointer(start: frame.freshPointer(as: UInt8.self), count: bytes.count)
    bytes.copyBytes(to: target)
    return frame
  }

  /// One number of a pixmap's header, `P6 width height 255`, and the white space behind it.
  private func header(_ file: String, isFirst: Bool = false) throws -> Int? {
    var digits = ""
    if isFirst {
      let magic = try read(3)
      if magic.isEmpty { return nil }
      guard magic.starts(with: "P6".utf8) else { throw ended(file) }
    }
    while let byte = try read(1).first, digits.count < 10 {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return Int(digits) }
      digits.unicodeScalars.append(Unicode.Scalar(byte))
    }
    throw ended(file)
  }

  private func ended(_ file: String) -> VideoError {
    process.terminate()
    return .unreadable(file, spoken() ?? "what it gives is no picture")
  }

  /// Fewer bytes only at the end.
  private func read(_ count: Int) throws -> Data {
    var data = Data()
    while data.count < count, let part = try pipe.fileHandleForReading.read(upToCount: count - data.count),
      !part.isEmpty
    {
      data.append(part)
    }
    return data
  }

  func finish(_ error: (String) -> VideoError) throws {
    try? pipe.fileHandleForWriting.close()
    process.waitUntilExit()
    guard process.terminationStatus != 0 else { return }
    throw error(spoken() ?? "it ended with status \(process.terminationStatus)")
  }

  /// The last line it has written.
  private func spoken() -> String? {
    try? messages.seek(toOffset: 0)
    let text = String(decoding: (try? messages.readToEnd()) ?? Data(), as: UTF8.self)
    return text.split(whereSeparator: \.isNewline).last.map(String.init)
  }
}
