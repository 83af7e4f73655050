import NN
import Tensor

/// What stands in for parts of a model folder, and what is done to weights while they are loaded: the same choices for
/// every family.
public struct CheckpointOptions: Sendable, Equatable {
  /// Single files with the weights of a component, by the component's name in the folder (`transformer`, `vae`,
  /// `text_encoder`), in the names of its authors or of diffusers. A transformer's file may hold the other components too.
  public var files: [String: String]
  /// Components that are done without, where the family can.
  public var leftOut: Set<String> = []
  /// Merged into the transformer, in this order.
  public var loras: [LoRAFile]
  /// What matrices and filters are used as: `f32`, `bf16` or `f16`; nil for what the files have. See
  /// `ConvertedWeights` for what a conversion costs.
  public var weightType: DType?
  /// Where encodings of phrases are kept for later runs; nil for nowhere.
  public var phraseCache: PhraseCache?
  /// The most memory that the transformer's weights may take, in bytes; what is beyond that is read from the disk at every
  /// step. nil for what the machine has free.
  public var weightMemory: Int?

  public init(files: [String: String] = [:], loras: [LoRAFile] = [], weightType: DType? = nil) {
    self.files = files
    self.loras = loras
    self.weightType = weightType
  }

  /// The file that stands in for the transformer.
  public var transformerFile: String? {
    get { files["transformer"] }
    set { files["transformer"] = newValue }
  }

  /// Weights of any part, of the chosen type.
  func converted(_ weights: any WeightSource) -> any WeightSource {
    weightType.map { ConvertedWeights(weights, to: $0) } ?? weights
  }

  /// A transformer's weights with the LoRA files merged into them, of the chosen type. Nothing is rounded twice:
  /// weights are widened before the merge and narrowed after it.
  ///
  /// - Parameters:
  ///   - weights: under diffusers' names
  ///   - originals: the names of the model's authors, which LoRA files may use
  func merged(_ weights: any WeightSource, _ originals: (any OriginalNames)?) throws -> any WeightSource {
    if loras.isEmpty { return converted(weights) }
    return weightType == .f32
      ? try LoRAWeights(converted(weights), loras, originals: originals)
      : converted(try LoRAWeights(weights, loras, originals: originals))
  }
}
