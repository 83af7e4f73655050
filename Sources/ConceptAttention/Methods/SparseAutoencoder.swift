import Tensor

/// A dictionary of features of a residual stream, of which every token has a few.
///
/// `a = activation((x - b_dec) W_encᵀ + b_enc)`, `x̂ = a W_dec + b_dec`.
///
/// Source: arXiv 2309.08600; top-k: arXiv 2406.04093; jump ReLU: arXiv 2407.14435. Files: SAELens (`cfg.json` with
/// `sae_weights.safetensors`).
public struct SparseAutoencoder: Sendable {
  public enum Activation: Sendable, Equatable {
    case relu
    /// The `count` largest of each token, as far as they are positive.
    case topK(Int)
    /// Those above a threshold of their own; see `threshold`.
    case jumpReLU
  }

  /// `[features, dim]` both.
  public var encoder, decoder: Tensor
  /// `[features]` and `[dim]`.
  public var encoderBias, decoderBias: Tensor
  public var activation: Activation
  /// `[features]`, for `jumpReLU`.
  public var threshold: Tensor?
  /// Whether `b_dec` is taken off the input first.
  public var subtractsDecoderBias: Bool

  public init(
    encoder: Tensor, encoderBias: Tensor, decoder: Tensor, decoderBias: Tensor, activation: Activation,
    threshold: Tensor? = nil, subtractsDecoderBias: Bool = true
  ) {
    let shape = encoder.shape
    guard shape.count == 2, decoder.shape == shape, encoderBias.shape == [shape[0]], decoderBias.shape == [shape[1]]
    else {
      tensorFailure(
        "SparseAutoencoder: encoder \(shape), decoder \(decoder.shape), biases \(encoderBias.shape) and "
          + "\(decoderBias.shape), expected [features, dim] twice, [features] and [dim]")
    }
    (self.encoder, self.encoderBias, self.decoder, self.decoderBias) = (encoder, encoderBias, decoder, decoderBias)
    self.activation = activation
    self.threshold = threshold
    self.subtractsDecoderBias = subtractsDecoderBias
  }

  public var features: Int { encoder.shape[0] }
  public var dim: Int { encoder.shape[1] }

  /// Before the activation function, `[…, features]`, of `[…, dim]`.
  public func preActivations(_ x: Tensor) -> Tensor {
    Tensor.linear(subtractsDecoderBias ? x - decoderBias : x, weight: encoder, bias: encoderBias)
  }

  /// How much of every feature a token has, `[…, features]`, most of them 0.
  public func encoded(_ x: Tensor) -> Tensor { activated(preActivations(x)) }

  /// Tokens from features, `[…, dim]`.
  public func decoded(_ activations: Tensor) -> Tensor { Tensor.matmul(activations, decoder) + decoderBias }

  /// What the features do not tell: squared error over squared distance from the mean token.
  public func unexplainedVariance(of x: Tensor) -> Float {
    let tokens = x.flattened(from: 0, to: -2), rest = tokens - decoded(encoded(tokens))
    let spread = tokens - tokens.mean(0, keepDims: true)
    return (rest.squared().sum() / spread.squared().sum()).item
  }

  private func activated(_ values: Tensor) -> Tensor {
    let positive = values.relu()
    switch activation {
    case .relu: return positive
    case .topK(let count):
      let top = positive.topK(min(count, features))
      return Tensor(zeros: values.shape).scatter(-1, top.indices, top.values)
    case .jumpReLU:
      guard let threshold else { return positive }
      return positive.filled(where: values.lessOrEqual(to: threshold), with: 0)
    }
  }
}
