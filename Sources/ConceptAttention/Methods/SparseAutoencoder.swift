import Formats
import Foundation
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

extension SparseAutoencoder {
  /// Opens a folder as SAELens writes it.
  ///
  /// - Throws: `SparseAutoencoderError`, `SafetensorsError`
  public init(folder: String) throws {
    let settings = try Settings(path: "\(folder)/cfg.json")
    let path = "\(folder)/sae_weights.safetensors", file = try SafetensorsFile(path: path)
    func tensor(_ name: String, _ shape: [Int]) throws -> Tensor {
      let tensor = try file.tensor(name)
      guard tensor.shape == shape else {
        throw SparseAutoencoderError.badShape(name, path: path, found: tensor.shape, expected: shape)
      }
      return tensor.converted(to: .f32)
    }
    let features = settings.d_sae, dim = settings.d_in
    self.init(
      encoder: try tensor("W_enc", [dim, features]).transposed().contiguous(),
      encoderBias: try tensor("b_enc", [features]), decoder: try tensor("W_dec", [features, dim]),
      decoderBias: try tensor("b_dec", [dim]), activation: try settings.activation(),
      threshold: settings.architecture == "jumprelu" ? try tensor("threshold", [features]) : nil,
      subtractsDecoderBias: settings.apply_b_dec_to_input ?? true)
  }

  /// Of `cfg.json`, what decides.
  private struct Settings: Decodable {
    struct Arguments: Decodable { var k: Int? }
    var d_in, d_sae: Int
    var architecture: String?
    var k: Int?
    var activation_fn, activation_fn_str: String?
    var activation_fn_kwargs: Arguments?
    var apply_b_dec_to_input: Bool?

    init(path: String) throws {
      do {
        let file = try MappedFile(path: path)
        self = try JSONDecoder().decode(Settings.self, from: file.withBytes { Data($0) })
      } catch {
        throw SparseAutoencoderError.badSettings(
          path: path, found: "\(error)", expected: "JSON with d_in and d_sae, as SAELens writes it")
      }
      let limit = 1 << 24
      guard (1...limit).contains(d_in), (1...limit).contains(d_sae) else {
        throw SparseAutoencoderError.badSettings(
          path: path, found: "d_in \(d_in), d_sae \(d_sae)", expected: "1 to \(limit)")
      }
    }

    func activation() throws -> Activation {
      let count = k ?? activation_fn_kwargs?.k
      switch (architecture ?? "standard", activation_fn_str ?? activation_fn ?? "relu") {
      case ("jumprelu", _): return .jumpReLU
      case ("topk", _), (_, "topk"):
        guard let count, count > 0 else {
          throw SparseAutoencoderError.badSettings(
            path: "cfg.json", found: "k \(count.map { "\($0)" } ?? "missing")", expected: "k above 0 for topk")
        }
        return .topK(count)
      case ("standard", "relu"): return .relu
      case (let architecture, let function):
        throw SparseAutoencoderError.badSettings(
          path: "cfg.json", found: "architecture \(architecture) with \(function)",
          expected: "standard, topk or jumprelu, with relu or topk")
      }
    }
  }
}

public enum SparseAutoencoderError: Error, Equatable, CustomStringConvertible {
  case badSettings(path: String, found: String, expected: String)
  case badShape(String, path: String, found: [Int], expected: [Int])

  public var description: String {
    switch self {
    case .badSettings(let path, let found, let expected): "\(path): \(found); expected \(expected)"
    case .badShape(let name, let path, let found, let expected):
      "\(path): tensor '\(name)' has shape \(found), expected \(expected)"
    }
  }
}
