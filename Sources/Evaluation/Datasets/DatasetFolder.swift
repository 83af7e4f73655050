import Formats
import Foundation
import Glibc
import Models
import Tensor

/// Where a data set lies, and how to read it: nothing outside of its folder, nothing in silence.
struct DatasetFolder: Sendable {
  let root: String
  /// Whether links may lead out of the folder.
  let followsLinks: Bool
  private let realRoot: String

  /// - Throws: `DatasetProblem` when there is no such folder
  init(_ root: String, followsLinks: Bool = false) throws {
    guard let real = realPath(root) else { throw DatasetProblem(root, "no such folder") }
    var status = stat()
    guard stat(real, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw DatasetProblem(root, "expected the folder of a data set")
    }
    self.root = root
    self.followsLinks = followsLinks
    realRoot = real
  }

  /// The full path of a file that is there and lies within the folder.
  ///
  /// - Parameter path: relative to the folder
  func file(_ path: String) throws -> String {
    if Self.leadsOut(path) { throw DatasetProblem(path, "leads out of the data set's folder") }
    let full = "\(root)/\(path)"
    guard let real = realPath(full) else { throw DatasetProblem(path, "no such file in \(root)") }
    guard followsLinks || real.hasPrefix(realRoot + "/") else {
      throw DatasetProblem(path, "a link that leads out of the data set's folder; following it was not allowed")
    }
    return full
  }

  func contains(_ path: String) -> Bool { !Self.leadsOut(path) && realPath("\(root)/\(path)") != nil }

  /// Whether a path is absolute or climbs above where it starts.
  static func leadsOut(_ path: String) -> Bool {
    if path.hasPrefix("/") { return true }
    var depth = 0
    for part in path.split(separator: "/") where part != "." {
      depth += part == ".." ? -1 : 1
      if depth < 0 { return true }
    }
    return false
  }

  func bytes(_ path: String) throws -> [UInt8] {
    let full = try file(path)
    do { return try MappedFile(path: full).withBytes { Array($0) } } catch { throw problem(path, error) }
  }

  /// Names in a folder, in the order of their bytes.
  ///
  /// - Throws: `DatasetProblem` when there is no such folder
  func names(in path: String) throws -> [String] {
    let full = try file(path)
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: full) else {
      throw DatasetProblem(path, "expected a folder")
    }
    return names.sorted(by: precedes)
  }

  /// The entries of a list, one a line, without marks, blanks and empty lines; each once.
  ///
  /// - Parameter warnings: takes what is listed twice
  /// - Throws: `DatasetProblem` when the list is missing or empty
  func list(_ path: String, _ warnings: inout [String]) throws -> [String] {
    var seen: Set<String> = [], entries: [String] = []
    for entry in lines(try bytes(path)) where !entry.isEmpty {
      if seen.insert(entry).inserted {
        entries.append(entry)
      } else {
        warnings.append("\(path): '\(entry)' is listed twice; it counts once")
      }
    }
    if entries.isEmpty { throw DatasetProblem(path, "the list is empty, there is nothing to score") }
    return entries
  }

  /// Decodes JSON.
  ///
  /// - Throws: `DatasetProblem` that says where the text ends when it ends early
  func json<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value {
    let bytes = try bytes(path)
    do {
      return try JSONDecoder().decode(type, from: Data(bytes))
    } catch let error as DecodingError {
      if endsEarly(bytes) { throw DatasetProblem(path, "the JSON ends early, at byte \(bytes.count)") }
      throw DatasetProblem(path, error.summary)
    }
  }

  /// A picture, `u8` `[height, width, 3]`, as stored.
  func picture(_ path: String) throws -> Tensor {
    let full = try file(path)
    do {
      return try Image.read(path: full, options: ImageOptions(appliesOrientation: false))
    } catch { throw problem(path, error) }
  }

  /// An error of a reader, which names the full path, as one that names the path within the folder.
  func problem(_ path: String, _ error: any Error) -> DatasetProblem {
    let text = "\(error)".replacingOccurrences(of: "\(root)/", with: "")
    return DatasetProblem(path, text.replacingOccurrences(of: " \(path):", with: ":"))
  }
}

/// Lines without their ends, blanks around them and a byte order mark.
func lines(_ bytes: [UInt8]) -> [String] {
  let text = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...]
  return text.split(separator: 0x0A, omittingEmptySubsequences: false).map {
    String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

/// The order of bytes, which is that of Unicode's numbers: the same on every machine and in Python.
func precedes(_ one: String, _ other: String) -> Bool { one.utf8.lexicographicallyPrecedes(other.utf8) }

/// Whether brackets or quotes are open at the end.
private func endsEarly(_ bytes: [UInt8]) -> Bool {
  var depth = 0, isText = false, isEscaped = false
  for byte in bytes {
    if isEscaped {
      isEscaped = false
    } else if isText {
      if byte == UInt8(ascii: "\\") { isEscaped = true } else if byte == UInt8(ascii: "\"") { isText = false }
    } else {
      switch byte {
      case UInt8(ascii: "\""): isText = true
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      default: break
      }
    }
  }
  return isText || depth > 0 || bytes.isEmpty
}

private func realPath(_ path: String) -> String? {
  guard let resolved = realpath(path, nil) else { return nil }
  defer { free(resolved) }
  return String(cString: resolved)
}
