import Tensor

/// A model that gradients can go back through: what it is made of, apart, and its first and last layers on variables. Its
/// blocks' halves adopt `DifferentiableHalf`.
public protocol DifferentiableModel: StreamModel {
  /// What one pass is given.
  associatedtype Input

  /// The tensors of an input that gradients can be taken of.
  func leaves(of input: Input) -> InputTensors
  /// The blocks that run for an input, in order.
  func running(_ input: Input) -> [(any JointBlock, BlockID)]
  /// The streams as they enter the first block, riders among them, and the output layers.
  func streams(_ input: Input, _ hooks: HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor)

  /// The native streams as they enter the first block, on variables.
  func traceStreams(_ input: Input, _ leaves: InputVariables) -> [TracedEntry]
  /// What the streams' adaptive norms are told, where a rider shares it; nil where it has its own, which is a constant.
  func traceConditioning(of rider: Rider, _ native: Variable) -> Variable?
  /// The output layers on variables.
  ///
  /// - Parameters:
  ///   - tokens: image tokens leaving the last block, `[batch, tokens, dim]`
  ///   - conditioning: of the image stream
  func traceReadOut(_ tokens: Variable, _ conditioning: Variable, _ input: Input) -> Variable
}

/// What a pass is given, as tensors.
public struct InputTensors {
  public var latents, text: Tensor
  /// nil in a family without.
  public var pooled: Tensor?

  public init(latents: Tensor, text: Tensor, pooled: Tensor? = nil) {
    self.latents = latents
    self.text = text
    self.pooled = pooled
  }
}

/// The same as variables.
public struct InputVariables {
  public let latents, text: Variable
  public let pooled: Variable?
}

/// A native stream before the first block, on variables.
public struct TracedEntry {
  public let id: StreamID
  public let tokens, conditioning: Variable

  public init(_ id: StreamID, tokens: Variable, conditioning: Variable) {
    self.id = id
    self.tokens = tokens
    self.conditioning = conditioning
  }
}

/// What a gradient is taken with respect to. A string is a pattern of sites.
public enum GradientPlace: Hashable, Sendable, ExpressibleByStringInterpolation {
  /// The latents, as the transformer takes them.
  case latents
  /// The hidden states of the prompt, before the model's own embedder.
  case promptEmbeddings
  /// The pooled vector of the prompt.
  case pooled
  /// The tensors at every site that the pattern selects, as processors leave them.
  case sites(SitePattern)

  public init(stringLiteral text: String) { self = .sites(SitePattern(text)) }

  public static func site(_ site: Site) -> GradientPlace { .sites(SitePattern(site)) }
}

/// A scalar and its gradient.
public struct PassGradient {
  public let value: Float
  /// The model's output; nil where the scalar does not depend on it.
  public let output: Tensor?
  /// Gradients in the shapes of the inputs; nil where not asked for.
  public package(set) var latents, promptEmbeddings, pooled: Tensor?
  /// Of every site asked for; zeros where the scalar does not depend on it.
  public internal(set) var sites: [Site: Tensor] = [:]

  init(value: Float, output: Tensor?) {
    self.value = value
    self.output = output
  }

  /// Of a site by its name, such as `double.3.image.residualOutput`; nil where not asked for.
  public subscript(_ site: String) -> Tensor? { sites.first { $0.key.description == site }?.value }
}
