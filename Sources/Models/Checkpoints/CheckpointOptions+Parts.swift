import NN

/// The parts that families share: each from a single file of its own, the folder, or the transformer's file, which may hold
/// a whole pipeline.
extension CheckpointOptions {
  /// The autoencoder's configuration and weights, under diffusers' names.
  ///
  /// - Parameter standard: the configuration of the family's published autoencoder, for a folder that has none
  func autoencoder(
    of folder: ModelFolder, standard: AutoencoderKLConfig
  ) throws -> (config: AutoencoderKLConfig, weights: any WeightSource) {
    let part = try part("vae", of: folder, file: autoencoderFile, prefixes: ["first_stage_model.", "vae."], hint: nil)
    return (try config(of: part) ?? standard, converted(AutoencoderOriginalNames.renamed(part.weights)))
  }

  /// A CLIP text encoder. Whether it has a projection is told by its weights.
  ///
  /// - Parameters:
  ///   - component: its folder
  ///   - file: a single file in its place
  ///   - name: what a file of all parts calls it, such as `clip_l`
  ///   - hint: what to say when it is nowhere
  func clip(
    _ component: String, of folder: ModelFolder, file: String?, name: String, hint: String?
  ) throws -> (config: CLIPTextConfig, weights: any WeightSource) {
    let part = try part(
      component, of: folder, file: file, prefixes: ["text_encoders.\(name).transformer."], hint: hint)
    var config: CLIPTextConfig = try config(of: part) ?? .init(inferredFrom: part.weights, path: part.path)
    config.hasProjection = part.weights.shape(of: "text_projection.weight") != nil
    if !config.hasProjection { config.projectionDim = config.dim }
    return (config, converted(part.weights))
  }

  /// The encoder of T5.
  func t5(
    _ component: String, of folder: ModelFolder, hint: String?
  ) throws -> (config: T5Config, weights: any WeightSource) {
    let part = try part(
      component, of: folder, file: t5File, prefixes: ["text_encoders.t5xxl.transformer."], hint: hint)
    let weights = T5GGUFNames.renamed(part.weights)
    return (try config(of: part) ?? .init(inferredFrom: weights, path: part.path), converted(weights))
  }

  /// What the folder says of a component, if it says anything.
  func described<Config: Decodable>(_ component: String, _ folder: ModelFolder) throws -> Config? {
    folder.exists("\(component)/config.json") ? try folder.config(component, as: Config.self) : nil
  }

  private struct Part {
    var component: String
    var folder: ModelFolder
    var weights: any WeightSource
    var path: String
    var isFile: Bool
  }

  /// A folder with weights has a configuration; a file may do without.
  private func config<Config: Decodable>(of part: Part) throws -> Config? {
    part.isFile ? try described(part.component, part.folder) : try part.folder.config(part.component, as: Config.self)
  }

  /// - Parameter prefixes: of the component's weights in a file that holds several
  /// - Throws: `ModelError` naming a component that is nowhere
  private func part(
    _ component: String, of folder: ModelFolder, file: String?, prefixes: [String], hint: String?
  ) throws -> Part {
    func within(_ path: String) throws -> (any WeightSource)? {
      let source = try openWeights(path)
      return prefixes.lazy.compactMap { RenamedWeights(source, within: $0) }.first
    }
    func found(_ weights: any WeightSource, _ path: String, isFile: Bool) -> Part {
      Part(component: component, folder: folder, weights: weights, path: path, isFile: isFile)
    }
    if let file { return found(try within(file) ?? openWeights(file), file, isFile: true) }
    let isListed = folder.has(component)
    if !(isListed && folder.hasWeights(component)), let path = transformerFile, let weights = try within(path) {
      return found(weights, path, isFile: true)
    }
    if isListed, folder.exists(component) {
      return found(try folder.weights(component), folder.folder(component), isFile: false)
    }
    throw ModelError(folder.path, .missingFile(component, hint: hint))
  }
}
