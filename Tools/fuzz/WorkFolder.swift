// Files for readers that open what they read themselves: they lie in a folder of this process, in memory where there is one.

import Formats
import Foundation

final class WorkFolder {
  let path: String

  init() throws {
    let memory = "/dev/shm", isThere = FileManager.default.isWritableFile(atPath: memory)
    path = "\(isThere ? memory : NSTemporaryDirectory())/fuzz-\(getpid())"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The place of one file, in a folder of its own.
  struct Place {
    let folder, path: String

    func put(_ file: MappedFile) throws {
      unlink(path)
      let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
      guard descriptor >= 0 else { throw Usage(reason: "\(path) cannot be written") }
      defer { close(descriptor) }
      let written = file.withBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      guard written == file.count else { throw Usage(reason: "\(path) cannot be written") }
    }
  }

  func place(_ folder: String, _ name: String) throws -> Place {
    let folder = "\(path)/\(folder)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return Place(folder: folder, path: "\(folder)/\(name)")
  }

  /// A copy of a folder of which one file will be changed.
  func copy(of source: String, _ folder: String, _ name: String) throws -> Place {
    let copy = "\(path)/\(folder)"
    try FileManager.default.copyItem(atPath: source, toPath: copy)
    return Place(folder: copy, path: "\(copy)/\(name)")
  }
}
