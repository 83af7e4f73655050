import NN

/// The text encoders that families are made of.
public enum TextEncoderKind: String, Sendable, CaseIterable {
  case clipL = "CLIP-L"
  case clipG = "CLIP-bigG"
  case t5 = "T5"

  /// What a file that holds a whole pipeline calls it.
  fileprivate var prefix: String {
    switch self {
    case .clipL: "text_encoders.clip_l.transformer."
    case .clipG: "text_encoders.clip_g.transformer."
    case .t5: "text_encoders.t5xxl.transformer."
    }
  }
}

extension CheckpointOptions {
  /// A CLIP text encoder. Whether it has a projection is told by its weights.
  ///
  /// - Parameters:
  ///   - component: its folder
  ///   - hint: what to say when it is nowhere
  func clip(
    _ kind: TextEncoderKind, _ component: String, of folder: ModelFolder, hint: String?
  ) throws -> (config: CLIPTextConfig, weights: any WeightSource) {
    let part = try part(component, of: folder, prefixes: [kind.prefix], hint: hint)
    var config: CLIPTextConfig = try config(of: part) ?? .init(inferredFrom: part.weights, path: part.path)
    config.hasProjection = part.weights.shape(of: "text_projection.weight") != nil
    if !config.hasProjection { config.projectionDim = config.dim }
    return (config, converted(part.weights))
  }

  /// The encoder of T5.
  func t5(
    _ component: String, of folder: ModelFolder, hint: String?
  ) throws -> (config: T5Config, weights: any WeightSource) {
    let part = try part(component, of: folder, prefixes: [TextEncoderKind.t5.prefix], hint: hint)
    let weights = T5GGUFNames.renamed(part.weights)
    return (try config(of: part) ?? .init(inferredFrom: weights, path: part.path), converted(weights))
  }
}
