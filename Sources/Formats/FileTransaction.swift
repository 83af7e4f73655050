// The files of one run: all written under other names first, then renamed together.

import CSignals
import Glibc

/// Files that appear under their names together, or not at all.
///
/// Each file is written to the path that ``stage(_:)`` gives, in the same folder as its own; ``commit(synchronised:)``
/// renames all of them one right after the other, which takes some microseconds a file. Folders that had to be made, and
/// files that were not committed, are removed when this object goes, and the files also when a signal ends the program.
///
/// One task uses it at a time.
public final class FileTransaction {
  private struct Staged {
    let path, temporary: String
    let registration: Int
  }

  private var staged: [Staged] = []
  private var madeFolders: [String] = []
  private var isCommitted = false

  public init() {}

  deinit {
    guard !isCommitted else { return }
    for file in staged {
      unlink(file.temporary)
      cs_temporary_remove(file.registration)
    }
    // Deeper ones were made later. One that has been given another file in the meantime stays.
    for folder in madeFolders.reversed() { rmdir(folder) }
  }

  /// The files' paths, in the order they were staged.
  public var paths: [String] { staged.map(\.path) }

  /// Where to write the file that will be `path`.
  ///
  /// - Returns: the path of an empty file in the same folder; it may be replaced by another
  /// - Throws: `FileError` when `path` is a folder, or no file can be created in its folder
  public func stage(_ path: String) throws -> String {
    let (descriptor, temporary) = try createTemporary(beside: path)
    close(descriptor)
    staged.append(Staged(path: path, temporary: temporary, registration: cs_temporary_add(temporary)))
    return temporary
  }

  /// Makes a folder and those above it, unless they are there.
  ///
  /// - Throws: `FileError`
  public func makeFolder(_ path: String) throws {
    var status = stat()
    if !path.isEmpty, stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else { throw FileError("make folder", path, code: EEXIST) }
      return
    }
    var trimmed = Substring(path)
    while trimmed.count > 1, trimmed.last == "/" { trimmed.removeLast() }
    if let slash = trimmed.lastIndex(of: "/"), slash > trimmed.startIndex {
      try makeFolder(String(trimmed[..<slash]))
    }
    if mkdir(String(trimmed), 0o777) == 0 {
      madeFolders.append(String(trimmed))
    } else if errno != EEXIST {
      throw FileError("make folder", path)
    }
  }

  /// Gives all files their names, or, when one cannot have its name, none.
  ///
  /// - Parameter synchronised: waits until their bytes are on the disk before any is renamed
  /// - Throws: `FileError`
  public func commit(synchronised: Bool = false) throws {
    for file in staged {
      try AtomicFile.check(file.path)
      try write(file.temporary, isAwaited: synchronised)
    }
    let earlier = staged.map { keepEarlier($0.path) }
    defer { for case let path? in earlier { unlink(path) } }
    let from = staged.map { strdup($0.temporary) }, to = staged.map { strdup($0.path) }
    defer { for path in from + to { free(path) } }
    let done = cs_rename_all(from, to, staged.count)
    guard done == staged.count else {
      let error = FileError("replace", staged[done].path)
      for index in 0..<done {
        if let path = earlier[index] { rename(path, staged[index].path) } else { unlink(staged[index].path) }
      }
      throw error
    }
    isCommitted = true
    for file in staged { cs_temporary_remove(file.registration) }
  }

  /// A second name for the file that is going to be replaced: to put it back, and because giving up its space, which the
  /// last name does, takes longer than a renaming. nil where there is none, or the file system knows no second names.
  private func keepEarlier(_ path: String) -> String? {
    let second = temporaryName(beside: path)
    return link(path, second) == 0 ? second : nil
  }

  /// Brings a file's bytes on their way to the disk.
  private func write(_ path: String, isAwaited: Bool) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("synchronise", path) }
    defer { close(descriptor) }
    if !isAwaited {
      cs_start_writing(descriptor)
    } else if fsync(descriptor) != 0 {
      throw FileError("synchronise", path)
    }
  }

  /// Removes what runs that were killed have left in a folder: files of this type's temporary names. Only for who knows
  /// that no other run is writing there.
  public static func removeLeftovers(in folder: String) {
    guard let directory = opendir(folder) else { return }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard let mark = name.ranges(of: temporaryMark).last else { continue }
      let random = name[mark.upperBound...]
      guard (1...13).contains(random.count), random.allSatisfy({ $0.isASCII && ($0.isNumber || $0.isLowercase) }) else {
        continue
      }
      unlink("\(folder)/\(name)")
    }
  }

  /// Removes the temporary files of every transaction and `AtomicFile` of this process: for a signal handler that ends the
  /// process.
  public static func removeAllTemporaries() { cs_remove_temporaries() }
}

/// Keeps other runs out of a folder while it lives.
///
/// The lock is the system's (`flock` on the folder itself), leaves no file behind and goes with the process, however that
/// ends. On a file system that has no locks there is none.
public final class FolderLock {
  private let descriptor: Int32

  /// - Parameter isShared: lets others in who share the folder too, as the processes of one run do
  /// - Throws: `FileError` when another run holds the lock
  public init(_ folder: String, isShared: Bool = false) throws {
    descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open", folder) }
    if flock(descriptor, (isShared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0, errno == EWOULDBLOCK {
      close(descriptor)
      throw FileError("lock", folder, code: EWOULDBLOCK, reason: "another run is writing to this folder")
    }
  }

  deinit { close(descriptor) }
}
