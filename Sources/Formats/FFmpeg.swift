// Videos through the ffmpeg program, which people install for themselves.

import Foundation
import Synchronization
import Tensor

/// The `ffmpeg` program of this machine: for the formats of videos that no library here reads or writes, such as MP4.
public struct FFmpeg: Sendable {
  public let path: String
  /// Seconds without a byte from it, or to it, after which it is ended.
  public var patience = 60.0
  /// Called several times a second while it is waited for; what it throws ends the program and is passed on.
  public var onWait: @Sendable () throws -> Void = {}

  /// The program on the path.
  ///
  /// - Throws: `VideoError.noProgram` when there is none
  public init() throws(VideoError) {
    guard let path = Self.find() else { throw .noProgram }
    self.init(path: path)
  }

  /// A program that understands what ffmpeg does.
  public init(path: String) { self.path = path }

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
      self,
      [
        "-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-i", "file:\(file)", "-map", "0:v:0",
        "-frames:v", "\(most)", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-",
      ], readsOutput: true)
    var frames: [Tensor] = []
    while let frame = try process.nextPixmap(file, before: frames.count, limit: options.maximumPixels) {
      if let first = frames.first, first.shape != frame.shape { throw VideoError.unreadable(file, "its size changes") }
      frames.append(frame)
    }
    try process.finish { .unreadable(file, $0) }
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
      self,
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
    public func add(_ frame: Tensor) throws {
      try frame.withContiguousBytes { try process.write($0) { .unwritable(file, $0) } }
    }

    /// - Throws: `VideoError` with what ffmpeg said
    public func finish() throws { try process.finish { .unwritable(file, $0) } }
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

/// Held from the making of a pipe to the start of its program: another program that starts in between would inherit it.
private let starting = Mutex(())

/// One running ffmpeg, of which one pipe is ours.
private final class Invocation {
  private let program: FFmpeg
  private let process: ChildProcess
  private let pipe: Pipe
  /// What it says goes to a file: a pipe that nobody empties would hold it up.
  private let messages: FileHandle
  private let messagesPath: String

  init(_ program: FFmpeg, _ arguments: [String], readsOutput: Bool) throws {
    self.program = program
    messagesPath = FileManager.default.temporaryDirectory.appendingPathComponent("ffmpeg-\(UUID().uuidString)").path
    guard FileManager.default.createFile(atPath: messagesPath, contents: nil),
      let messages = FileHandle(forUpdatingAtPath: messagesPath)
    else { throw VideoError.notStarted("\(messagesPath) cannot be created") }
    self.messages = messages
    // Open as long as needed, and nowhere to be seen.
    unlink(messagesPath)
    let null = FileHandle.nullDevice.fileDescriptor
    do {
      (pipe, process) = try starting.withLock { _ in
        let pipe = Pipe()
        // A pipe ends when nobody has its other side open any more: neither this program nor the next may inherit it.
        for end in [pipe.fileHandleForReading, pipe.fileHandleForWriting] {
          _ = fcntl(end.fileDescriptor, F_SETFD, FD_CLOEXEC)
        }
        let process = try ChildProcess(
          program.path, arguments, input: readsOutput ? null : pipe.fileHandleForReading.fileDescriptor,
          output: readsOutput ? pipe.fileHandleForWriting.fileDescriptor : null, errors: messages.fileDescriptor)
        return (pipe, process)
      }
    } catch let error as FileError { throw VideoError.notStarted("\(error)") }
    try? (readsOutput ? pipe.fileHandleForWriting : pipe.fileHandleForReading).close()
    // Our end alone: nothing that the program does, or does not, may hold us up.
    let own = readsOutput ? pipe.fileHandleForReading : pipe.fileHandleForWriting
    _ = fcntl(own.fileDescriptor, F_SETFL, fcntl(own.fileDescriptor, F_GETFL) | O_NONBLOCK)
  }

  func write(_ bytes: UnsafeRawBufferPointer, _ error: (String) -> VideoError) throws {
    let descriptor = pipe.fileHandleForWriting.fileDescriptor
    var rest = bytes
    while let start = rest.baseAddress, rest.count > 0 {
      let count = pipeWrite(descriptor, start, rest.count)
      if count > 0 {
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      } else if count < 0, errno == EAGAIN {
        try wait(for: Int16(POLLOUT), descriptor, error)
      } else if count == 0 || errno != EINTR {
        return  // a program that ended early is told of when it is finished
      }
    }
  }

  /// `[height, width, 3]`; nil at the end.
  func nextPixmap(_ file: String, before count: Int, limit: Int) throws -> Tensor? {
    guard let width = try header(file, isFirst: true) else { return nil }
    guard let height = try header(file), try header(file) == 255 else { throw failure(file) }
    guard width > 0, height > 0, let pixels = checkedProduct(width, height),
      let total = checkedProduct(pixels, count + 1), total <= limit
    else { throw ImageError(file, nil, .tooLarge(width: width, height: height * (count + 1), limit: limit)) }
    var frame = Tensor(uninitialized: [height, width, 3], dtype: .u8)
    let target = UnsafeMutableRawBufferPointer(start: frame.freshPointer(as: UInt8.self), count: frame.byteCount)
    guard try read(into: target, file) == target.count else { throw failure(file) }
    return frame
  }

  /// One number of a pixmap's header, `P6 width height 255`, and the white space behind it.
  private func header(_ file: String, isFirst: Bool = false) throws -> Int? {
    var digits = ""
    if isFirst {
      let magic = try read(3, file)
      if magic.isEmpty { return nil }
      guard magic.starts(with: "P6".utf8) else { throw failure(file) }
    }
    while let byte = try read(1, file).first, digits.count < 10 {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return Int(digits) }
      digits.unicodeScalars.append(Unicode.Scalar(byte))
    }
    throw failure(file)
  }

  private func failure(_ file: String) -> VideoError {
    process.end()
    return .unreadable(file, spoken() ?? "what it gives is no picture")
  }

  /// Fewer bytes only at the end.
  private func read(_ count: Int, _ file: String) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let found = try bytes.withUnsafeMutableBytes { try read(into: $0, file) }
    return Array(bytes[..<found])
  }

  /// - Returns: how many bytes there were: fewer than asked for only at the end
  private func read(into target: UnsafeMutableRawBufferPointer, _ file: String) throws -> Int {
    let descriptor = pipe.fileHandleForReading.fileDescriptor
    var done = 0
    while done < target.count {
      let count = systemRead(descriptor, target.baseAddress.map { $0 + done }, target.count - done)
      if count > 0 {
        done += count
      } else if count < 0, errno == EAGAIN {
        try wait(for: Int16(POLLIN), descriptor) { .unreadable(file, $0) }
      } else if count == 0 || errno != EINTR {
        break
      }
    }
    return done
  }

  /// - Throws: `VideoError` when nothing happens for so long that nothing will, and what ``FFmpeg/onWait`` throws
  private func wait(for event: Int16, _ descriptor: Int32, _ error: (String) -> VideoError) throws {
    let start = ContinuousClock.now
    var entry = pollfd(fd: descriptor, events: event, revents: 0)
    while poll(&entry, 1, 100) <= 0 { try goOnWaiting(since: start, error) }
  }

  private func goOnWaiting(since start: ContinuousClock.Instant, _ error: (String) -> VideoError) throws {
    do {
      try program.onWait()
      guard ContinuousClock.now - start > .seconds(program.patience) else { return }
      throw error("it has done nothing for \(Int(program.patience)) seconds")
    } catch {
      process.end()
      throw error
    }
  }

  func finish(_ error: (String) -> VideoError) throws {
    // Closed on both sides: a program that goes on writing is told so.
    try? pipe.fileHandleForWriting.close()
    try? pipe.fileHandleForReading.close()
    let start = ContinuousClock.now
    while process.isRunning {
      usleep(2000)
      try goOnWaiting(since: start, error)
    }
    guard process.status != 0 else { return }
    throw error(spoken() ?? "it ended with status \(process.status)")
  }

  /// The last line it has written.
  private func spoken() -> String? {
    try? messages.seek(toOffset: 0)
    let text = String(decoding: (try? messages.readToEnd()) ?? Data(), as: UTF8.self)
    return text.split(whereSeparator: \.isNewline).last.map(String.init)
  }
}

private func systemRead(_ descriptor: Int32, _ target: UnsafeMutableRawPointer?, _ count: Int) -> Int {
  read(descriptor, target, count)
}

/// Without SIGPIPE when nobody reads any more: it would end a process that does not ignore it.
private func pipeWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  var signals = sigset_t(), before = sigset_t()
  sigemptyset(&signals)
  sigaddset(&signals, SIGPIPE)
  pthread_sigmask(SIG_BLOCK, &signals, &before)
  defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
  let written = write(descriptor, bytes, count)
  guard written < 0, errno == EPIPE else { return written }
  var now = timespec()
  while sigtimedwait(&signals, nil, &now) < 0, errno == EINTR {}
  errno = EPIPE
  return written
}
