import Formats
import Foundation
import Tensor

/// What text encoders have made of phrases, in a folder: a file each, so that a phrase that was seen before waits for no
/// encoder.
///
/// A file's name comes from the whole key (encoder, tokens, settings, program and instruction set), which it holds too: what
/// does not match, is damaged or cannot be read counts as absent and is written anew. Files appear complete, so that any
/// number of processes may share the folder. When it grows beyond its capacity, what was used longest ago goes. A cache that
/// cannot be written costs nothing but time.
public struct PhraseCache: Sendable, Equatable {
  public let folder: String
  /// In bytes.
  public var capacity: Int

  public init(folder: String, capacity: Int = 1 << 30) {
    self.folder = folder
    self.capacity = capacity
  }

  /// `concept-attention/phrases` in the user's folder for caches, `$XDG_CACHE_HOME` or `~/.cache`; nil where there is neither.
  public static var standard: PhraseCache? {
    let environment = ProcessInfo.processInfo.environment
    let home = environment["HOME"].flatMap { $0.hasPrefix("/") ? "\($0)/.cache" : nil }
    // Relative paths are to be ignored (XDG Base Directory Specification).
    let root = environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? home
    return root.map { PhraseCache(folder: "\($0)/concept-attention/phrases") }
  }

  private static let ending = ".safetensors"

  func path(_ key: String) -> String {
    var hash = ContentHash()
    hash.add(key)
    return "\(folder)/\(hash.text)\(Self.ending)"
  }

  /// - Returns: nil for what is not there or not whole
  func load(_ key: String) -> [String: Tensor]? {
    let path = path(key)
    guard let file = try? SafetensorsFile(path: path), file.metadata["key"] == key else { return nil }
    var tensors: [String: Tensor] = [:]
    for name in file.names {
      guard let tensor = try? file.tensor(name) else { return nil }
      tensors[name] = tensor.copied()
    }
    // What is used stays longest.
    utimes(path, nil)
    return tensors
  }

  func store(_ key: String, _ tensors: [String: Tensor]) {
    let files = FileManager.default
    try? files.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    do {
      try SafetensorsFile.write(tensors.mapValues { $0.contiguous() }, to: path(key), metadata: ["key": key])
    } catch {
      return
    }
    makeRoom()
  }

  /// Removes what was used longest ago, and what a process that was killed has left.
  private func makeRoom() {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    var entries: [(path: String, bytes: Int, used: Int)] = []
    for name in names {
      let path = "\(folder)/\(name)"
      var status = stat()
      guard stat(path, &status) == 0 else { continue }
      if name.hasSuffix(Self.ending) {
        entries.append((path, Int(status.st_size), status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec))
      } else if name.contains(Self.ending), time(nil) - status.st_mtim.tv_sec > 3600 {
        unlink(path)
      }
    }
    var total = entries.map(\.bytes).reduce(0, +)
    if total <= capacity { return }
    for entry in entries.sorted(by: { $0.used < $1.used }) where total > capacity / 10 * 9 {
      unlink(entry.path)
      total -= entry.bytes
    }
  }
}
