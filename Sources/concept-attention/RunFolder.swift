import Artifacts
import Formats
import Foundation

/// Everything that a run writes: checked, locked and made room for before anything is computed, and put in place together
/// when all of it is complete.
final class RunFolder {
  let transaction = FileTransaction()
  private var locks: [FolderLock] = []

  /// - Parameters:
  ///   - folders: where pictures go
  ///   - names: of the files in each of them
  ///   - files: further files, anywhere
  ///   - bytes: roughly what all of it takes on the disk; nil not to compare
  /// - Throws: `FileError` for a folder or file that cannot be written or that another run is writing, `InputError` when
  ///   the disk has no room
  init(_ output: String, folders: [String], names: [String], files: [String], bytes: Int?) throws {
    for folder in [output] + folders where folder != output || locks.isEmpty {
      do { try transaction.makeFolder(folder) } catch let error as FileError {
        throw ArtifactError.folder(folder, "cannot be created: \(String(cString: strerror(error.code)))")
      }
      locks.append(try FolderLock(folder))
      // The lock is ours: nobody is going to finish these.
      FileTransaction.removeLeftovers(in: folder)
    }
    for folder in folders {
      _ = try AtomicFile(path: Self.path(folder, "metadata.json"))
      for inner in Set(names.compactMap { $0.split(separator: "/").dropLast().first }) {
        try transaction.makeFolder(Self.path(folder, String(inner)))
        FileTransaction.removeLeftovers(in: Self.path(folder, String(inner)))
      }
      for name in names { try AtomicFile.check(Self.path(folder, name)) }
    }
    for file in files { _ = try AtomicFile(path: file) }
    if let bytes { try checkSpace(bytes, in: output) }
  }

  /// Keeps another program from using a folder in the same way.
  static func lock(_ folder: String) throws -> FolderLock { try FolderLock(folder) }

  /// Puts everything in place.
  ///
  /// - Throws: `Interrupted` when the program was asked to end before, `FileError`
  func commit() throws { try withoutInterrupts { try transaction.commit() } }

  private func checkSpace(_ bytes: Int, in folder: String) throws {
    var system = statvfs()
    guard statvfs(folder, &system) == 0 else { return }
    let (free, overflow) = Int(clamping: system.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: system.f_frsize))
    guard !overflow, bytes > free else { return }
    throw InputError(
      "the results take some \(byteText(bytes)), and the disk of \(folder) has \(byteText(free)) free; --force writes all "
        + "the same")
  }

  private static func path(_ folder: String, _ name: String) -> String {
    folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
  }
}

/// Bytes as people read them.
func byteText(_ bytes: Int) -> String {
  switch bytes {
  case ..<1_000_000: String(format: "%.1f kB", Double(bytes) / 1e3)
  case ..<1_000_000_000: String(format: "%.1f MB", Double(bytes) / 1e6)
  case ..<1_000_000_000_000: String(format: "%.2f GB", Double(bytes) / 1e9)
  default: String(format: "%.2f TB", Double(bytes) / 1e12)
  }
}
