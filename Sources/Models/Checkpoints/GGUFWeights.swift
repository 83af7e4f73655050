import Formats
import NN
import Tensor

/// The weights of a GGUF file. Block-quantised matrices stay quantised.
public struct GGUFWeights: WeightSource {
  public let file: GGUFFile

  /// - Throws: `FileError`, `GGUFError`
  public init(path: String) throws { file = try GGUFFile(path: path) }

  public init(_ file: GGUFFile) { self.file = file }

  public var names: [String] { file.names }
  public func shape(of name: String) -> [Int]? { file.entry(name)?.shape }
  public func file(of name: String) -> String? { file.contains(name) ? file.path : nil }
  public var files: [String] { [file.path] }
  public func release() { file.advise(.dontNeed) }

  /// - Throws: `GGUFError` when there is no such tensor, or values of its type cannot be read
  public func parameter(_ name: String) throws -> Parameter {
    guard let entry = file.entry(name), entry.type.dtype == nil, entry.shape.count == 2 else {
      return .dense(try file.tensor(name))
    }
    return .quantized(try file.quantized(name))
  }
}
