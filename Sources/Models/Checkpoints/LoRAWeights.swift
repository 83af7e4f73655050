import NN
import Tensor

/// A transformer's weights with LoRA files merged into them: `W + strength * (alpha / rank) * B · A`.
///
/// Every change of a weight is added in `f32` before it is rounded once to the weight's own type. A block-quantised
/// weight that is changed becomes `bf16`; all others stay what and where they are.
public struct LoRAWeights: WeightSource {
  public let base: any WeightSource
  /// By name of the weight.
  private let changes: [String: [Change]]

  private struct Change {
    /// `[outputs, rank]`, `[rank, inputs]`
    var up, down: Tensor
    var scale: Float
  }

  /// Reads the files, whose names may be diffusers', peft's, kohya's or the model's authors', and holds them against the
  /// base. A file of strength 0 is read and checked too, and changes nothing.
  ///
  /// - Parameters:
  ///   - base: under diffusers' names
  ///   - originals: the names of the model's authors
  /// - Throws: `LoRAError` for a file that does not fit, `SafetensorsError` or `FileError` for one that cannot be read
  public init(_ base: any WeightSource, _ files: [LoRAFile], originals: (any OriginalNames)?) throws {
    self.base = base
    let table = LoRATargets(base, originals)
    var changes: [String: [Change]] = [:]
    for file in files {
      guard file.strength.isFinite else { throw LoRAError(file.path, .badStrength(file.strength)) }
      let pairs = try LoRAReader(path: file.path).pairs()
      let unknown = pairs.filter { table.targets(of: $0).isEmpty }.map(\.module)
      guard unknown.isEmpty else { throw LoRAError(file.path, .unknown(unknown)) }
      for pair in pairs {
        for target in table.targets(of: pair) {
          let change = try Self.change(pair, target, base, file)
          if file.strength != 0 { changes["\(target.module).weight", default: []].append(change) }
        }
      }
    }
    self.changes = changes
  }

  public var names: [String] { base.names }
  public func shape(of name: String) -> [Int]? { base.shape(of: name) }
  public func file(of name: String) -> String? { base.file(of: name) }
  public var files: [String] { base.files }
  public func release() { base.release() }

  public func parameter(_ name: String) throws -> Parameter {
    let parameter = try base.parameter(name)
    guard let changes = changes[name] else { return parameter }
    var weight = parameter.tensor.converted(to: .f32)
    for change in changes {
      let product = Tensor.matmul(change.up.converted(to: .f32), change.down.converted(to: .f32))
      weight = weight + product * change.scale
    }
    switch parameter {
    case .dense(let tensor): return .dense(weight.converted(to: tensor.dtype))
    case .quantized: return .dense(weight.converted(to: .bf16))
    }
  }

  private static func change(
    _ pair: LoRAPair, _ target: RenamedWeights.Target, _ base: any WeightSource, _ file: LoRAFile
  ) throws -> Change {
    let shape = base.shape(of: "\(target.module).weight") ?? []
    guard target.part.shape(of: pair.up.shape)?.first == shape.first else {
      throw LoRAError(
        file.path,
        .shape(
          tensor: "\(pair.module) B", found: pair.up.shape, expected: "the outputs of \(target.module) \(shape)"))
    }
    guard pair.down.shape.last == shape.last, shape.count == 2 else {
      throw LoRAError(
        file.path,
        .shape(
          tensor: "\(pair.module) A", found: pair.down.shape, expected: "the inputs of \(target.module) \(shape)"))
    }
    return Change(
      up: target.part.taken(from: .dense(pair.up)).tensor, down: pair.down, scale: pair.scale * file.strength)
  }
}

/// Finds the layers that a module of a LoRA file changes.
private struct LoRATargets {
  private let base: any WeightSource
  private let originals: (any OriginalNames)?
  /// What kohya's scripts call a layer, where every dot is an underscore.
  private var flattened: [String: [RenamedWeights.Target]] = [:]

  init(_ base: any WeightSource, _ originals: (any OriginalNames)?) {
    self.base = base
    self.originals = originals
    let names = base.names
    let modules = names.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(7)) }
    for module in modules { flattened[Self.flat(module)] = [.init(module: module, part: .whole)] }
    guard let originals else { return }
    for name in originals.modules(of: names) { flattened[Self.flat(name)] = originals.targets(of: name) }
  }

  /// The layers under diffusers' names; empty when the base has none of them.
  func targets(of pair: LoRAPair) -> [RenamedWeights.Target] {
    var found = candidates(of: pair.module)
    if let layer = pair.layer {
      found = found.indices.contains(layer) ? [.init(module: found[layer].module, part: .whole)] : []
    }
    return found.allSatisfy { base.shape(of: "\($0.module).weight") != nil } ? found : []
  }

  private func candidates(of module: String) -> [RenamedWeights.Target] {
    for prefix in ["lora_unet_", "lora_transformer_"] where module.hasPrefix(prefix) {
      return flattened[String(module.dropFirst(prefix.count))] ?? []
    }
    let prefixes = ["transformer.", "diffusion_model.", "model.diffusion_model.", "base_model.model."]
    let prefix = prefixes.first { module.hasPrefix($0) } ?? ""
    let name = String(module.dropFirst(prefix.count))
    if base.shape(of: "\(name).weight") != nil { return [.init(module: name, part: .whole)] }
    return originals?.targets(of: name) ?? []
  }

  private static func flat(_ module: String) -> String { String(module.map { $0 == "." ? "_" : $0 }) }
}
