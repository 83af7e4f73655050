// What tells the contents of a large file from those of another without reading it all.

import Glibc

/// Tells the contents of files apart.
package enum FileIdentity {
  /// Up to here a file is read whole.
  static let wholeLimit = 4 << 20
  private static let sampleSize = 4096, samples = 256

  /// Of a small file a number made of all its bytes, so that a copy is the same. Of a large one, of its size, its header, pages
  /// spread evenly over it, and the times of its last change: written anew, it is another, even with the same bytes.
  ///
  /// - Throws: `FileError`
  package static func of(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    var hash = ContentHash()
    hash.add("\(file.count)")
    file.withBytes { bytes in
      if bytes.count <= wholeLimit {
        hash.add(bytes)
      } else {
        // The header of a checkpoint with thousands of tensors fits.
        hash.add(UnsafeRawBufferPointer(rebasing: bytes[..<(1 << 18)]))
        for sample in 0..<samples {
          let start = (bytes.count - sampleSize) / (samples - 1) * sample
          hash.add(UnsafeRawBufferPointer(rebasing: bytes[start..<start + sampleSize]))
        }
      }
    }
    if file.count > wholeLimit { hash.add(try stamp(path)) }
    return hash.text
  }

  /// Changes whenever the file does.
  ///
  /// - Throws: `FileError`
  package static func stamp(_ path: String) throws -> String {
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError("open", path) }
    return "\(status.st_size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec) "
      + "\(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
  }
}
