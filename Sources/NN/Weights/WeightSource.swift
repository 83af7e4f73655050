import Tensor

/// A weight as it lies in a checkpoint.
public enum Parameter: Sendable {
  case dense(Tensor)
  /// Block-quantised, `[rows, columns]`.
  case quantized(QuantizedMatrix)

  public var shape: [Int] {
    switch self {
    case .dense(let tensor): tensor.shape
    case .quantized(let matrix): matrix.shape
    }
  }

  /// The weight as numbers: `dense` as it is, `quantized` expanded to `f32`.
  public var tensor: Tensor {
    switch self {
    case .dense(let tensor): tensor
    case .quantized(let matrix): matrix.dequantized()
    }
  }
}

/// Somewhere named weights come from: a folder of safetensors, a GGUF file, a dictionary in a test, random numbers.
public protocol WeightSource: Sendable {
  /// Every name; empty when the source makes up what it is asked for.
  var names: [String] { get }
  /// nil when there is no such weight.
  func shape(of name: String) -> [Int]?
  /// - Throws: when the weight is absent or its bytes cannot be read
  func parameter(_ name: String) throws -> Parameter
  /// A weight as a model asks for it; nil, unless given, where the source makes nothing up.
  func generated(_ name: String, shape: [Int]) -> Tensor?
  /// The file a weight lies in, for messages.
  func file(of name: String) -> String?
  /// Paths of all files that weights lie in; empty for weights that come from none, or where that is not known.
  var files: [String] { get }
  /// Lets the system take back the memory of weights that are mapped files: they come from the file again when used.
  func release()
}

extension WeightSource {
  public func generated(_ name: String, shape: [Int]) -> Tensor? { nil }
  public func file(of name: String) -> String? { nil }
  public var files: [String] { [] }
  public func release() {}
}

/// A source that makes up whatever it is asked for: layers and whole models without a checkpoint, where no weight is
/// missing and none has a wrong shape.
public protocol GeneratedWeights: WeightSource {
  func tensor(_ name: String, shape: [Int]) -> Tensor
}

extension GeneratedWeights {
  public func generated(_ name: String, shape: [Int]) -> Tensor? { tensor(name, shape: shape) }
  public var names: [String] { [] }
  public func shape(of name: String) -> [Int]? { nil }
  public func parameter(_ name: String) throws -> Parameter { throw WeightProblem.missing(name) }
}

/// Weights held in memory by name.
public struct DictionaryWeights: WeightSource {
  public var tensors: [String: Tensor]

  public init(_ tensors: [String: Tensor]) { self.tensors = tensors }

  public var names: [String] { tensors.keys.sorted() }
  public func shape(of name: String) -> [Int]? { tensors[name]?.shape }
  public func parameter(_ name: String) throws -> Parameter {
    guard let tensor = tensors[name] else { throw WeightProblem.missing(name) }
    return .dense(tensor)
  }
}
