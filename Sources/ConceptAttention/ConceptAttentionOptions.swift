import Models
import NN

/// What `ConceptAttention` looks at and how it makes maps of it.
public struct ConceptAttentionOptions: Sendable, Equatable {
  /// Layers within the family; nil for all.
  public var layers: Set<Int>?
  /// Denoising steps, from 0; nil for all.
  public var steps: Set<Int>?
  /// One set of maps for each, all from the same passes.
  public var spaces: [SaliencySpace] = [.output]
  public var normalization: SaliencyNormalization = .softmax
  /// What is done to concept vectors before the product.
  public var conceptScaling: ConceptScaling = .none
  /// What is averaged over the steps.
  public var averaging: StepAveraging = .scores
  /// Which attention outputs of image tokens the space `output` takes.
  public var imageOutputs: ImageOutputs = .own
  /// Maps are smoothed by a Gaussian of 3 × 3 tokens: `SaliencyMaps.blurred()`.
  public var blurs = false
  /// How concepts go through the text encoders.
  public var phrases: ConceptPhrases = .alone(.first)
  /// What concept queries see: the paper's ablation.
  public var reads: ConceptReads = .conceptsAndImage
  /// Maps kept beside the average.
  public var keeping: Set<KeptMaps> = []
  /// The blocks concepts travel through; nil for those in which text has weights of its own (`double` in FLUX, `joint`
  /// in Stable Diffusion 3).
  public var family: String?
  /// The branch of guidance that is looked at.
  public var branch: Pass.Branch = .conditional

  public init(layers: Set<Int>? = nil, steps: Set<Int>? = nil) {
    self.layers = layers
    self.steps = steps
  }

  /// Why these settings would have no effect, or none that anybody can see; nil when they have.
  ///
  /// - Parameter padding: tokens of the concepts' stream that stand for no concept
  func contradiction(padding: Int) -> String? {
    if padding > 0, normalization == .softmaxOfMean || averaging == .vectors {
      return "padding behind the concepts competes with them layer by layer and step by step: neither normalization "
        + "'softmaxOfMean' nor averaging 'vectors' has that"
    }
    if spaces.isEmpty { return "no space is chosen, so there is nothing to map" }
    if layers?.isEmpty == true { return "no layer is chosen, so there is nothing to map" }
    if steps?.isEmpty == true { return "no step is chosen, so there is nothing to map" }
    if imageOutputs != .own, !spaces.contains(.output) {
      return "image outputs '\(imageOutputs)' are those of space 'output', which is not among \(spaces.map(\.rawValue))"
    }
    if conceptScaling != .none, spaces == [.attention] {
      return "space 'attention' has no vectors that concept scaling '\(conceptScaling)' could scale"
    }
    if averaging == .vectors, keeping.contains(.steps) {
      return "vectors are averaged over the steps, so there are no maps by step to keep"
    }
    if averaging == .vectors, spaces == [.attention] { return "space 'attention' has no vectors to average" }
    return nil
  }

  /// All layers and steps, output space, softmax over the concepts per layer and step.
  public static let `default` = ConceptAttentionOptions()

  /// As the paper's tables were made (FLUX.1, issue 12 of the authors' repository): layers 14 to 17, concept vectors
  /// normalised over the concepts, blurred maps. For pictures that exist, `InspectionRequest.usePaperSettings()` is
  /// the rest of that protocol.
  public static let paper: ConceptAttentionOptions = {
    var options = ConceptAttentionOptions(layers: [14, 15, 16, 17])
    options.conceptScaling = .overConcepts
    options.blurs = true
    return options
  }()

  /// As the authors' code does it for Stable Diffusion 3, where it departs from the paper: image vectors come from a
  /// second attention, in which image tokens see concepts in place of the prompt; vectors are averaged over the steps
  /// before anything is multiplied; concept vectors have length 1; concepts are joined into one sentence. Their code looks at the unconditional branch when there is guidance; set `branch` for
  /// that.
  public static let authorsSD3: ConceptAttentionOptions = {
    var options = ConceptAttentionOptions()
    options.imageOutputs = .readingConcepts
    options.averaging = .vectors
    options.conceptScaling = .length
    options.phrases = .joined
    return options
  }()

  /// As the authors' code does it for CogVideoX, where it departs from the paper: concepts go through T5 padded to 16 tokens,
  /// and vectors of zeros behind them, up to the length of a prompt, compete with them in the attention and for every spot.
  public static let authorsCogVideoX: ConceptAttentionOptions = {
    var options = ConceptAttentionOptions()
    options.phrases = .padded(phraseLength: 16)
    return options
  }()
}

extension InspectionRequest {
  /// As the paper's tables were made: five draws of noise at level 0.5, and norms that are told no pooled prompt.
  /// (There the picture was 1024 px square, brought there from 512 px by repeating pixels.)
  public mutating func usePaperSettings() {
    noise = .levels([0.5])
    samples = 5
    zeroesPooledText = true
  }
}

/// How concepts go through the text encoders.
public enum ConceptPhrases: Sendable, Equatable {
  /// Each alone; one vector stands for it.
  case alone(ConceptTokens)
  /// Each alone, padded to `phraseLength` tokens; the first vector stands for it, and vectors of zeros follow the concepts
  /// up to the length of a prompt: see `ConceptSet.padded(to:)`.
  case padded(phraseLength: Int)
  /// All in one sentence, as the authors' code has them for Stable Diffusion 3: see `ConceptSet(_:joined:)`.
  case joined
}

/// The vectors whose products make the map. Queries and keys are those before rotation; heads are added up.
public enum SaliencySpace: String, Sendable, CaseIterable {
  /// Concept attention output · image attention output: the method.
  case output
  /// Image query · concept key, over `sqrt(headDim)`: cross-attention's logits.
  case crossAttention
  /// Concept query · image key, over `sqrt(headDim)`: the other direction.
  case conceptQuery
  /// Concept query · image query, unscaled: what the authors' code calls cross-attention.
  case queryQuery
  /// Concept value · image value.
  case value
  /// Attention probabilities of the concept over the image tokens, averaged over heads.
  case attention
}

public enum SaliencyNormalization: String, Sendable, CaseIterable {
  /// Softmax over the concepts for every layer and step, then the mean.
  case softmax
  /// The mean of the products, then one softmax over the concepts.
  case softmaxOfMean
  /// The mean of the products.
  case none
}

public enum ConceptScaling: String, Sendable, CaseIterable {
  case none
  /// Shifted to a minimum of 0 and a sum of 1 over the concepts, channel by channel, as the code behind the paper's
  /// tables does and the paper does not say.
  case overConcepts
  /// Divided by their length.
  case length
}

public enum StepAveraging: String, Sendable, CaseIterable {
  /// The scores of every step, each normalised alone: concepts × tokens numbers are kept.
  case scores
  /// The vectors, which are multiplied at the end: (concepts + tokens) × width numbers are kept for every layer, and
  /// there are no maps by step. Attention probabilities have no vectors; their scores are averaged.
  case vectors
}

public enum ImageOutputs: String, Sendable, CaseIterable {
  /// The model's own, of image tokens that see the prompt.
  case own
  /// Those that image tokens would have if they saw the concepts in place of the prompt: one more attention per layer.
  case readingConcepts
}

/// What concept queries attend to (paper §5.4).
public enum ConceptReads: String, Sendable, CaseIterable {
  case conceptsAndImage
  /// Cross-attention only.
  case image
  /// Self-attention only.
  case concepts
  /// Nothing: the output is the concept's own value.
  case nothing

  func streams(concepts: StreamID) -> Set<StreamID> {
    switch self {
    case .conceptsAndImage: [concepts, .image]
    case .image: [.image]
    case .concepts: [concepts]
    case .nothing: []
    }
  }
}

/// Maps kept beside the average, each concepts × tokens numbers.
public enum KeptMaps: String, Sendable, CaseIterable {
  /// One per layer, averaged over steps.
  case layers
  /// One per step, averaged over layers.
  case steps
  /// One per head, averaged over layers and steps.
  case heads
  /// One per head of every layer, averaged over steps.
  case layersAndHeads
}

extension Set<KeptMaps> {
  /// Whether heads must be kept apart.
  var needHeads: Bool { contains(.heads) || contains(.layersAndHeads) }
  var withoutHeads: Set<KeptMaps> { subtracting([.heads, .layersAndHeads]) }
}
