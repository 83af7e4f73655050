import NN
import Tensor
import Tokenizers

extension ModelFolder {
  /// One component's weights, by numbers.
  public struct Part: Sendable {
    public let name: String
    public var parameters = 0
    /// In the file.
    public var bytes = 0
    /// Beside the file: weights that are converted when they are loaded.
    public var convertedBytes = 0
    /// In the file, of the weights that are converted.
    public var replacedBytes = 0
    /// In the file, of embedding tables, of which only rows that occur are read.
    public var tableBytes = 0
    /// Parameters by what the file has them as, such as `bf16` or `Q8_0`.
    public var types: [String: Int] = [:]
  }

  /// The components that have weights, in order of name. Only headers are read.
  ///
  /// - Parameter options: files that stand in for a component, and the type weights are converted to; LoRA files are
  ///   not looked at
  /// - Throws: `ModelError`, `SafetensorsError`, `GGUFError`, `FileError`
  public func parts(_ options: CheckpointOptions = .init()) throws -> [Part] {
    try components.union(options.files.keys).subtracting(options.leftOut).sorted().compactMap { (name) -> Part? in
      if let path = options.files[name] { return try part(name, openWeights(path), options.weightType) }
      guard exists("\(name)/config.json") else { return nil }
      // The transformer's file may have it.
      if options.transformerFile != nil, !hasWeights(name) { return nil }
      return try part(name, weights(name), options.weightType)
    }
  }

  /// The token embeddings of T5 (transformers', llama.cpp's) and CLIP.
  private static let tables = ["shared.weight", "token_embd.weight", "embed_tokens.weight", "token_embedding.weight"]

  private func part(_ name: String, _ source: any WeightSource, _ wanted: DType?) throws -> Part {
    var part = Part(name: name)
    for weight in source.names {
      let parameter = try source.parameter(weight), count = parameter.shape.reduce(1, *)
      part.parameters += count
      let type: String, bytes: Int
      switch parameter {
      case .dense(let tensor): (type, bytes) = (tensor.dtype.rawValue, tensor.byteCount)
      case .quantized(let matrix): (type, bytes) = ("\(matrix.format)", matrix.byteCount)
      }
      part.bytes += bytes
      part.types[type, default: 0] += count
      if let wanted, parameter.shape.count >= 2, type != wanted.rawValue {
        part.convertedBytes += count * wanted.size
        part.replacedBytes += bytes
      } else if Self.tables.contains(where: weight.hasSuffix) {
        part.tableBytes += bytes
      }
    }
    return part
  }
}

extension ModelFolder {
  /// A tokenizer whose ids its text encoder has vectors for.
  ///
  /// - Parameter vocabulary: rows of the encoder's embedding
  /// - Throws: `ModelError` when the tokenizer is absent or has more ids, `TokenizerError`
  func tokenizer(_ component: String, vocabulary: Int) throws -> any Tokenizer {
    guard exists(component) else { throw ModelError(path, .missingFile(component, hint: nil)) }
    let tokenizer = try loadTokenizer(folder: folder(component))
    guard tokenizer.vocabularySize <= vocabulary else {
      throw ModelError(
        folder(component),
        .badConfig("has \(tokenizer.vocabularySize) ids, vocab_size of its text encoder is \(vocabulary)"))
    }
    return tokenizer
  }
}
