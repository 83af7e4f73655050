import NN

/// What a model's authors call its layers, and what the same layers are called in diffusers.
public protocol OriginalNames: Sendable {
  /// What an original module, without `.weight` or `.bias`, is in diffusers: several where layers are fused, none when it
  /// is unknown.
  func targets(of module: String) -> [RenamedWeights.Target]

  /// Every original module of a model that has these weights under diffusers' names.
  func modules(of names: [String]) -> [String]
}

extension RenamedWeights {
  /// One layer or norm under its new name, without `.weight` or `.bias`.
  public struct Target: Equatable, Sendable {
    public var module: String
    /// What of the original's rows it is.
    public var part: Part

    public init(module: String, part: Part) {
      self.module = module
      self.part = part
    }
  }
}

extension OriginalNames {
  /// Where the weights of a file come from, by new name.
  ///
  /// - Parameter prefix: of every name that belongs to the model
  func origins(of names: [String], prefix: String) -> [String: RenamedWeights.Origin] {
    var origins: [String: RenamedWeights.Origin] = [:]
    for name in names where name.hasPrefix(prefix) {
      guard let (module, parameter) = split(String(name.dropFirst(prefix.count))) else { continue }
      for target in targets(of: module) {
        origins["\(target.module).\(parameter)"] = RenamedWeights.Origin(name, target.part)
      }
    }
    return origins
  }

  /// Module and parameter of a name; the scales of norms are called weights in diffusers.
  private func split(_ name: String) -> (module: String, parameter: String)? {
    guard let dot = name.lastIndex(of: ".") else { return nil }
    let parameters = ["weight": "weight", "bias": "bias", "scale": "weight"]
    return parameters[String(name[name.index(after: dot)...])].map { (String(name[..<dot]), $0) }
  }
}

/// What prefixes the names of a transformer's weights: nothing, or `model.diffusion_model.` where a whole pipeline is in
/// one file.
///
/// - Parameter families: what the names of blocks begin with
/// - Returns: nil when no name begins so
func originalPrefix(_ names: [String], families: [String]) -> String? {
  ["", "model.diffusion_model.", "diffusion_model."].first { prefix in
    names.contains { name in families.contains { name.hasPrefix("\(prefix)\($0)") } }
  }
}

/// How many blocks there are, counted from 0 without a gap.
///
/// - Parameter prefix: such as `transformer_blocks.`
func blockCount(_ prefix: String, in names: [String]) -> Int {
  let found = Set(
    names.lazy.filter { $0.hasPrefix(prefix) }.compactMap { name in
      name.dropFirst(prefix.count).split(separator: ".").first.flatMap { Int($0) }
    })
  return (0...found.count).first { !found.contains($0) } ?? 0
}
