import Formats
import Foundation
import NN
import Tensor

/// A low-rank change of a model's weights, in a safetensors file, and how strongly it is applied.
///
/// Source: arXiv 2106.09685.
public struct LoRAFile: Sendable, Equatable {
  public var path: String
  /// 1 as it was trained, 0 for no change.
  public var strength: Float

  public init(path: String, strength: Float = 1) {
    self.path = path
    self.strength = strength
  }
}

/// A LoRA file that does not fit the model.
public struct LoRAError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case badStrength(Float)
    /// Tensors that are no part of a low-rank pair for a layer of this model.
    case unknown([String])
    /// One half of a pair without the other.
    case incomplete(module: String, missing: String)
    case shape(tensor: String, found: [Int], expected: String)
    case badAlpha(module: String, found: String)
    case empty
  }

  public let path: String
  public let problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String {
    switch problem {
    case .badStrength(let strength): "LoRA \(path): strength \(strength), expected a finite number"
    case .unknown(let names):
      "LoRA \(path): \(names.count) tensors have no place in this model: \(names.prefix(8).joined(separator: ", "))"
        + (names.count > 8 ? ", …" : "")
    case .incomplete(let module, let missing): "LoRA \(path): '\(module)' has no \(missing)"
    case .shape(let tensor, let found, let expected):
      "LoRA \(path): '\(tensor)' has shape \(found), expected \(expected)"
    case .badAlpha(let module, let found): "LoRA \(path): alpha of '\(module)' is \(found), expected a finite number"
    case .empty: "LoRA \(path): no low-rank pairs in the file"
    }
  }
}

/// One pair of matrices of a LoRA file: the change is `scale * up · down`.
struct LoRAPair {
  /// As the file names it, without prefix and suffix.
  var module: String
  /// `[rank, inputs]`
  var down: Tensor
  /// `[outputs, rank]`
  var up: Tensor
  /// `alpha / rank`
  var scale: Float
  /// Which of the layers that the authors have fused in this module it changes; nil for all, by the rows of `up`.
  var layer: Int?
}

/// Reads the pairs of a file in the names of diffusers and peft (`lora_A`, `lora_B`), kohya's scripts (`lora_down`,
/// `lora_up`) or CogVideo's `sat` code (`matrix_A.0`, `matrix_B.0`, a pair for each of the layers that a module fuses).
struct LoRAReader {
  private let file: SafetensorsFile
  private let metadata: LoRAMetadata

  init(path: String) throws { try self.init(SafetensorsFile(path: path)) }

  init(_ file: SafetensorsFile) {
    self.file = file
    metadata = LoRAMetadata(file.metadata)
  }

  private enum Half { case down, up, alpha }

  private static let suffixes: [(text: String, half: Half)] = [
    (".lora_A.weight", .down), (".lora_B.weight", .up), (".lora_A.default.weight", .down),
    (".lora_B.default.weight", .up), (".lora_down.weight", .down), (".lora_up.weight", .up),
    (".lora.down.weight", .down), (".lora.up.weight", .up), (".alpha", .alpha),
  ]

  /// What both halves of a pair have in common.
  private struct Key: Hashable, Comparable {
    var module: String
    var layer: Int?

    static func < (a: Key, b: Key) -> Bool { (a.module, a.layer ?? -1) < (b.module, b.layer ?? -1) }
  }

  private static func parsed(_ name: String) -> (key: Key, half: Half)? {
    if let suffix = suffixes.first(where: { name.hasSuffix($0.text) }) {
      return (Key(module: String(name.dropLast(suffix.text.count))), suffix.half)
    }
    let words = name.split(separator: ".", omittingEmptySubsequences: false)
    guard words.count > 2, let layer = Int(words[words.count - 1]), layer >= 0,
      let half = ["matrix_A": Half.down, "matrix_B": .up][words[words.count - 2]]
    else { return nil }
    return (Key(module: words.dropLast(2).joined(separator: "."), layer: layer), half)
  }

  /// - Throws: `LoRAError` when a tensor is no part of a pair or halves do not fit each other
  func pairs() throws -> [LoRAPair] {
    var parts: [Key: [Half: String]] = [:]
    var unknown: [String] = []
    for name in file.names {
      guard let (key, half) = Self.parsed(name) else {
        unknown.append(name)
        continue
      }
      parts[key, default: [:]][half] = name
    }
    guard unknown.isEmpty else { throw LoRAError(file.path, .unknown(unknown.sorted())) }
    guard !parts.isEmpty else { throw LoRAError(file.path, .empty) }
    return try parts.sorted { $0.key < $1.key }.map { try pair($0.key, $0.value) }
  }

  private func pair(_ key: Key, _ names: [Half: String]) throws -> LoRAPair {
    let module = key.module
    guard let down = names[.down] else { throw LoRAError(file.path, .incomplete(module: module, missing: "lora_A")) }
    guard let up = names[.up] else { throw LoRAError(file.path, .incomplete(module: module, missing: "lora_B")) }
    let a = try file.tensor(down), b = try file.tensor(up)
    guard a.rank == 2, a.shape[0] > 0 else {
      throw LoRAError(file.path, .shape(tensor: down, found: a.shape, expected: "[rank, inputs]"))
    }
    guard b.rank == 2, b.shape[1] == a.shape[0] else {
      throw LoRAError(file.path, .shape(tensor: up, found: b.shape, expected: "[outputs, \(a.shape[0])]"))
    }
    let rank = Float(a.shape[0])
    // What stands for no alpha: the rank, and in `sat` 1.
    let standard = key.layer == nil ? rank : 1
    let alpha = try names[.alpha].map { try number($0, module) } ?? metadata.alpha(of: module) ?? standard
    guard alpha.isFinite else { throw LoRAError(file.path, .badAlpha(module: module, found: "\(alpha)")) }
    return LoRAPair(module: module, down: a, up: b, scale: alpha / rank, layer: key.layer)
  }

  private func number(_ name: String, _ module: String) throws -> Float {
    let tensor = try file.tensor(name)
    guard tensor.count == 1 else {
      throw LoRAError(file.path, .badAlpha(module: module, found: "of shape \(tensor.shape)"))
    }
    return tensor.floats[0]
  }
}

/// What peft says about a LoRA in the file's metadata: `lora_adapter_metadata`, a JSON object in which diffusers
/// prefixes every key with the component (`transformer.lora_alpha`).
private struct LoRAMetadata {
  private var values: [String: Any] = [:]

  init(_ metadata: [String: String]) {
    guard let text = metadata["lora_adapter_metadata"],
      let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    else { return }
    values = object
  }

  func alpha(of module: String) -> Float? {
    let prefix = "transformer."
    let module = module.hasPrefix(prefix) ? String(module.dropFirst(prefix.count)) : module
    let pattern = (values["\(prefix)alpha_pattern"] ?? values["alpha_pattern"]) as? [String: Any]
    // A key of the pattern names a module by its whole path or the end of it.
    let special = pattern?.filter { module == $0.key || module.hasSuffix(".\($0.key)") }
      .max { $0.key.count < $1.key.count }?.value
    let value = special ?? values["\(prefix)lora_alpha"] ?? values["lora_alpha"]
    return (value as? NSNumber)?.floatValue
  }
}
