import Foundation
import NN

/// Where the parts of a FLUX.1 model come from: a folder in the diffusers layout, of which the transformer and the
/// autoencoder may be replaced by single files.
///
/// A transformer file is safetensors or GGUF, and its configuration is inferred from its shapes. An autoencoder file is
/// safetensors, and its configuration is the folder's.
public struct FluxCheckpoint: Sendable {
  public var folder: ModelFolder
  public var options: CheckpointOptions

  public init(folder: ModelFolder, _ options: CheckpointOptions = .init()) {
    self.folder = folder
    self.options = options
  }

  /// The transformer's configuration and weights, under diffusers' names.
  ///
  /// - Throws: `ModelError`, `SafetensorsError`, `GGUFError`, `FileError`, `LoRAError`
  public func transformer() throws -> (config: FluxConfig, weights: any WeightSource) {
    guard let path = options.transformerFile else {
      let config = try folder.config("transformer", as: FluxConfig.self)
      return (config, try options.merged(folder.weights("transformer")))
    }
    let file: any WeightSource =
      path.lowercased().hasSuffix(".gguf") ? try GGUFWeights(path: path) : try SafetensorsWeights(path: path)
    let weights = try FluxOriginalNames.renamed(file, path: path)
    // The one thing that no shape tells. A transformer folder is not needed for heads of 128.
    let described = FileManager.default.fileExists(atPath: "\(folder.folder("transformer"))/config.json")
    let axes = described ? try folder.config("transformer", as: FluxConfig.self).axesDimsRope : nil
    return (try FluxConfig(inferredFrom: weights, axes: axes, path: path), try options.merged(weights))
  }

  /// The autoencoder's weights, under diffusers' names.
  public func autoencoder() throws -> any WeightSource { try options.autoencoder(folder) }
}
