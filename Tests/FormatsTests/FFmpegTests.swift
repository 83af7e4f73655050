import Foundation
import Formats
import Tensor
import TestSupport
import Testing

/// Programs in place of ffmpeg that hang, lie or give pictures.
@Suite struct FFmpegTests {
  private struct Asked: Error {}

  private func program(_ text: String, _ body: (FFmpeg) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("ffmpeg-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = "\(folder)/ffmpeg"
    try writeProgram("#!/bin/bash\n\(text)\n", to: path)
    var program = FFmpeg(path: path)
    program.patience = 0.3
    try body(program)
  }

  @Test func picturesAreReadAsTheyCome() throws {
    try program(#"printf 'P6\n2 1\n255\nabcdef'; sleep 0.2; printf 'P6\n2 1\n255\nghijkl'"#) { program in
      let frames = try program.read("clip.mp4", most: 8)
      #expect(frames.shape == [2, 1, 2, 3])
      #expect(frames.scalars(as: UInt8.self) == Array("abcdefghijkl".utf8))
    }
  }

  @Test(arguments: [
    "sleep 100", "trap '' TERM; sleep 100", #"printf 'P6\n2 2\n255\nabc'; sleep 100"#, "exec >&-; sleep 100",
  ])
  func aProgramThatHangsIsEnded(_ text: String) throws {
    try program(text) { program in
      let start = ContinuousClock.now
      let error = try #require(throws: VideoError.self) { _ = try program.read("clip.mp4", most: 8) }
      #expect("\(error)".contains("clip.mp4") && "\(error)".contains("has done nothing"))
      #expect(ContinuousClock.now - start < .seconds(20))
    }
  }

  @Test(arguments: ["sleep 100", "exec <&-; sleep 100", "cat >/dev/null; sleep 100"])
  func aProgramThatDoesNotWriteIsEnded(_ text: String) throws {
    try program(text) { program in
      let writer = try program.writer("out.mp4", height: 256, width: 256, framesPerSecond: 8, comment: "")
      let error = try #require(throws: VideoError.self) {
        for _ in 0..<4 { try writer.add(Tensor(zeros: [256, 256, 3], dtype: .u8)) }
        try writer.finish()
      }
      #expect("\(error)".contains("out.mp4") && "\(error)".contains("has done nothing"))
    }
  }

  @Test func whoWaitsMayStop() throws {
    try program("sleep 100") { program in
      var program = program
      program.patience = 1000
      program.onWait = { throw Asked() }
      #expect(throws: Asked.self) { _ = try program.read("clip.mp4", most: 8) }
    }
  }

  @Test(arguments: [
    #"printf 'P6\n-1 2\n255\n'"#, #"printf 'P6\n99999999 99999999\n255\n'"#, "head -c 4096 /dev/zero", "exit 3",
  ])
  func whatIsNoPictureIsRefused(_ text: String) throws {
    try program(text) { program in
      #expect(throws: (any Error).self) { _ = try program.read("clip.mp4", most: 8) }
    }
  }

  @Test func whatAProgramStartsEndsWithIt() throws {
    let note = FileManager.default.temporaryDirectory.appendingPathComponent("child-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: note) }
    try program("sleep 1000 & echo $! >'\(note)'; wait") { program in
      #expect(throws: VideoError.self) { _ = try program.read("clip.mp4", most: 8) }
    }
    let child = try #require(
      pid_t(String(contentsOfFile: note, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)))
    var isGone = false
    for _ in 0..<200 where !isGone {
      let state = (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)) ?? ") Z"
      isGone = state.contains(") Z")
      usleep(10_000)
    }
    #expect(isGone)
  }

  /// Those who ignore SIGPIPE would have it ignored by what they start.
  @Test func aProgramLearnsThatNobodyReads() throws {
    let earlier = signal(SIGPIPE, SIG_IGN)
    defer { signal(SIGPIPE, earlier) }
    try program("while :; do echo x; done | head -n 1 >&2; exit 1") { program in
      var program = program
      program.patience = 20
      let error = try #require(throws: VideoError.self) { _ = try program.read("clip.mp4", most: 8) }
      #expect(!"\(error)".contains("has done nothing"), "\(error)")
    }
  }

  @Test func aFileThatIsNoProgramIsNamed() throws {
    try withFolder { folder in
      let path = "\(folder)/no-program"
      try writeProgram("?", to: path)
      let error = try #require(throws: VideoError.self) { _ = try FFmpeg(path: path).read("clip.mp4", most: 8) }
      #expect("\(error)".contains(path) && "\(error)".contains("Exec format"), "\(error)")
    }
  }
}
