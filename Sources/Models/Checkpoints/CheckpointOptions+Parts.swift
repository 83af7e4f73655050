import NN

/// A component of a model, wherever it comes from: a single file of its own, the folder, or the transformer's file, which may
/// hold a whole pipeline.
struct CheckpointPart {
  var component: String
  var folder: ModelFolder
  var weights: any WeightSource
  /// For messages.
  var path: String
  var isFile: Bool
}

extension CheckpointOptions {
  /// What the folder says of a component, if it says anything.
  func described<Config: Decodable>(_ component: String, _ folder: ModelFolder) throws -> Config? {
    folder.exists("\(component)/config.json") ? try folder.config(component, as: Config.self) : nil
  }

  /// A folder with weights has a configuration; a file may do without.
  func config<Config: Decodable>(of part: CheckpointPart) throws -> Config? {
    part.isFile ? try described(part.component, part.folder) : try part.folder.config(part.component, as: Config.self)
  }

  /// - Parameter prefixes: of the component's weights in a file that holds several
  /// - Throws: `ModelError` naming a component that is nowhere
  func part(
    _ component: String, of folder: ModelFolder, prefixes: [String], hint: String?
  ) throws -> CheckpointPart {
    func within(_ path: String) throws -> (any WeightSource)? {
      let source = try openWeights(path)
      return prefixes.lazy.compactMap { RenamedWeights(source, within: $0) }.first
    }
    func found(_ weights: any WeightSource, _ path: String, isFile: Bool) -> CheckpointPart {
      CheckpointPart(component: component, folder: folder, weights: weights, path: path, isFile: isFile)
    }
    if let file = files[component] { return found(try within(file) ?? openWeights(file), file, isFile: true) }
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
