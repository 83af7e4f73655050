import Foundation
import NN

/// Where the parts of a FLUX.1 model come from: a folder in the diffusers layout, of which the transformer and the
/// autoencoder may be replaced by single files, and LoRA files merged into the transformer.
public struct FluxCheckpoint: Sendable {
  public var folder: ModelFolder
  /// A safetensors or GGUF file with the original or diffusers' names; its configuration is inferred from its shapes.
  public var transformerFile: String?
  /// A safetensors file with the original or diffusers' names; its configuration is the folder's.
  public var autoencoderFile: String?
  public var loras: [LoRAFile]

  public init(
    folder: ModelFolder, transformerFile: String? = nil, autoencoderFile: String? = nil, loras: [LoRAFile] = []
  ) {
    self.folder = folder
    self.transformerFile = transformerFile
    self.autoencoderFile = autoencoderFile
    self.loras = loras
  }

  /// The transformer's configuration and weights, under diffusers' names.
  ///
  /// - Throws: `ModelError`, `SafetensorsError`, `GGUFError`, `FileError`, `LoRAError`
  public func transformer() throws -> (config: FluxConfig, weights: any WeightSource) {
    guard let path = transformerFile else {
      let config = try folder.config("transformer", as: FluxConfig.self)
      return (config, try merged(folder.weights("transformer")))
    }
    let file: any WeightSource =
      path.lowercased().hasSuffix(".gguf") ? try GGUFWeights(path: path) : try SafetensorsWeights(path: path)
    let weights = try FluxOriginalNames.renamed(file, path: path)
    // The one thing that no shape tells. A transformer folder is not needed for heads of 128.
    let described = FileManager.default.fileExists(atPath: "\(folder.folder("transformer"))/config.json")
    let axes = described ? try folder.config("transformer", as: FluxConfig.self).axesDimsRope : nil
    return (try FluxConfig(inferredFrom: weights, axes: axes, path: path), try merged(weights))
  }

  /// The autoencoder's weights, under diffusers' names.
  public func autoencoder() throws -> any WeightSource {
    guard let path = autoencoderFile else { return try folder.weights("vae") }
    return AutoencoderOriginalNames.renamed(try SafetensorsWeights(path: path))
  }

  private func merged(_ weights: any WeightSource) throws -> any WeightSource {
    loras.isEmpty ? weights : try LoRAWeights(weights, loras)
  }
}
