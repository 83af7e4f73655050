import Formats
import Foundation
import Tensor

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
