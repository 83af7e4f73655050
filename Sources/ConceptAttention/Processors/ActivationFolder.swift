import Formats
import Foundation
import Tensor

/// A folder of activations that grows while a run goes on: a safetensors file for every tensor, complete as soon as it has its
/// name, and at the end `activations.safetensors.index.json`, as sharded checkpoints have it.
struct ActivationFolder {
  static let index = "activations.safetensors.index.json"
  let path: String
  private var names: Set<String> = []

  init(path: String) { self.path = path }

  /// Makes the folder.
  ///
  /// - Throws: `ActivationCacheError.notEmpty` for one with files in it, and what making it throws
  func open() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    if let other = try FileManager.default.contentsOfDirectory(atPath: path).first {
      throw ActivationCacheError.notEmpty(path: path, found: other)
    }
  }

  mutating func add(_ tensor: Tensor, _ name: String) throws {
    try SafetensorsFile.write(
      [name: tensor.contiguous()], to: "\(path)/\(Self.file(of: name))", metadata: ["format": "activation-cache"])
    names.insert(name)
  }

  func finish() throws {
    let map = Dictionary(uniqueKeysWithValues: names.map { ($0, Self.file(of: $0)) })
    let json = try JSONSerialization.data(
      withJSONObject: ["weight_map": map, "metadata": ["format": "activation-cache"]],
      options: [.sortedKeys, .prettyPrinted])
    try AtomicFile.write([UInt8](json), to: "\(path)/\(Self.index)")
  }

  private static func file(of name: String) -> String { "\(name).safetensors" }
}
