import Formats
import Foundation
import TestSupport
import Testing

/// Output files appear together or not at all; inputs never block.
@Suite struct FileTransactionTests {
  private func names(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  private func text(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func nothingAppearsBeforeTheCommit() throws {
    try withFolder { folder in
      try AtomicFile.write(Array("old".utf8), to: "\(folder)/a")
      let transaction = FileTransaction()
      try transaction.makeFolder("\(folder)/deep/er")
      for name in ["a", "b", "deep/er/c"] {
        try AtomicFile.write(Array("new".utf8), to: transaction.stage("\(folder)/\(name)"))
      }
      #expect(text("\(folder)/a") == "old")
      #expect(text("\(folder)/b") == nil)
      try transaction.commit()
      for name in ["a", "b", "deep/er/c"] { #expect(text("\(folder)/\(name)") == "new") }
      #expect(try names(folder) == ["a", "b", "deep"])
      #expect(try names("\(folder)/deep/er") == ["c"])
    }
  }

  @Test func withoutACommitEverythingIsAsBefore() throws {
    try withFolder { folder in
      try AtomicFile.write(Array("old".utf8), to: "\(folder)/a")
      do {
        let transaction = FileTransaction()
        try transaction.makeFolder("\(folder)/made/here")
        try AtomicFile.write(Array("new".utf8), to: transaction.stage("\(folder)/a"))
        _ = try transaction.stage("\(folder)/made/here/b")
      }
      #expect(try names(folder) == ["a"])
      #expect(text("\(folder)/a") == "old")
    }
  }

  @Test func aFolderInAFilesPlaceIsFoundBeforeAnythingIsRenamed() throws {
    try withFolder { folder in
      #expect(throws: FileError.self) { try AtomicFile(path: folder) }
      #expect(throws: FileError.self) { try AtomicFile(path: "") }
      let transaction = FileTransaction()
      #expect(throws: FileError.self) { try transaction.stage(folder) }
      for name in ["a", "b"] { try AtomicFile.write([1], to: transaction.stage("\(folder)/\(name)")) }
      try FileManager.default.createDirectory(atPath: "\(folder)/b", withIntermediateDirectories: true)
      #expect(throws: FileError.self) { try transaction.commit() }
      #expect(text("\(folder)/a") == nil)
      #expect(throws: FileError.self) { try FileTransaction().makeFolder("") }
    }
  }

  @Test func leftoversOfKilledRunsGoAndNothingElse() throws {
    try withFolder { folder in
      for name in ["image.png.part-0a1b2c", "image.png", "my.part-One", "notes.part-", "a.part-1.part-2"] {
        try Data([1]).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      }
      FileTransaction.removeLeftovers(in: folder)
      #expect(try names(folder) == ["image.png", "my.part-One", "notes.part-"])
    }
  }

  @Test func aFolderIsLockedForOneRun() throws {
    try withFolder { folder in
      let first = try FolderLock(folder)
      let error = #expect(throws: FileError.self) { try FolderLock(folder) }
      #expect(error.map { "\($0)" }?.contains("another run is writing") ?? false)
      withExtendedLifetime(first) {}
    }
    try withFolder { folder in
      do { _ = try FolderLock(folder) }
      _ = try FolderLock(folder)
    }
  }

  @Test func namesOfTheLongestLengthCanBeWritten() throws {
    try withFolder { folder in
      let path = "\(folder)/" + String(repeating: "n", count: 255)
      try AtomicFile.write([1], to: path)
      #expect(FileManager.default.contents(atPath: path) == Data([1]))
    }
  }

  @Test(.timeLimit(.minutes(1))) func pipesDevicesAndFoldersAreRefusedAtOnce() throws {
    try withFolder { folder in
      mkfifo("\(folder)/pipe", 0o600)
      for path in ["\(folder)/pipe", "/dev/zero", "/dev/tty", folder, "\(folder)/gone", "\(folder)/a\0b"] {
        let error = #expect(throws: FileError.self) { try MappedFile(path: path) }
        #expect(error?.path == path)
      }
      let error = #expect(throws: FileError.self) { try MappedFile(path: "\(folder)/pipe") }
      #expect(error.map { "\($0)" }?.contains("regular file") ?? false)
    }
  }

  #if os(Linux)
    @Test func aFileTruncatedWhileItIsMappedEndsTheProgramWithItsName() async throws {
      let result = await #expect(processExitsWith: .exitCode(2), observing: [\.standardErrorContent]) {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("lost-\(UUID()).bin").path
        try Data(repeating: 1, count: 1 << 16).write(to: URL(fileURLWithPath: path))
        MappedFile.exitOnLostPages(code: 2)
        let file = try MappedFile(path: path)
        truncate(path, 0)
        unlink(path)
        _ = file.withBytes { $0.reduce(0) { $0 &+ Int($1) } }
      }
      let written = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(written.contains("lost-") && written.contains("truncates"))
    }
  #endif
}
