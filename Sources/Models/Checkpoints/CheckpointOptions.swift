import NN
import Tensor

/// What stands in for parts of a model folder, and what is done to weights while they are loaded: the same choices for
/// every family.
public struct CheckpointOptions: Sendable, Equatable {
  /// A single file with the transformer's weights, in the names of its authors or of diffusers.
  public var transformerFile: String?
  /// A single file with the autoencoder's weights, in the names of its authors or of diffusers.
  public var autoencoderFile: String?
  /// A single file for each text encoder, in the names of transformers: CLIP-L, CLIP-bigG and T5.
  public var clipLFile, clipGFile, t5File: String?
  /// Whether to do without T5, where the family can.
  public var leavesOutT5 = false
  /// Merged into the transformer, in this order.
  public var loras: [LoRAFile]
  /// What matrices and filters are used as: `f32`, `bf16` or `f16`; nil for what the files have. See
  /// `ConvertedWeights` for what a conversion costs.
  public var weightType: DType?

  public init(
    transformerFile: String? = nil, autoencoderFile: String? = nil, loras: [LoRAFile] = [], weightType: DType? = nil
  ) {
    self.transformerFile = transformerFile
    self.autoencoderFile = autoencoderFile
    self.loras = loras
    self.weightType = weightType
  }

  /// Weights of any part, of the chosen type.
  func converted(_ weights: any WeightSource) -> any WeightSource {
    weightType.map { ConvertedWeights(weights, to: $0) } ?? weights
  }

  /// A transformer's weights with the LoRA files merged into them, of the chosen type. Nothing is rounded twice:
  /// weights are widened before the merge and narrowed after it.
  ///
  /// - Parameter weights: under diffusers' names
  func merged(_ weights: any WeightSource) throws -> any WeightSource {
    if loras.isEmpty { return converted(weights) }
    return weightType == .f32
      ? try LoRAWeights(converted(weights), loras) : converted(try LoRAWeights(weights, loras))
  }
}
