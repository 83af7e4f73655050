import Formats
import NN
import Tensor

/// A source whose matrices and filters are all of one element type.
///
/// What has the type already stays where it lies. Anything else is converted when the model is loaded and then held in
/// memory instead of being mapped: 2 bytes per parameter for `bf16` and `f16`, 4 for `f32`. Block-quantised matrices
/// are unpacked. Vectors (biases, scales of norms) stay as they are: they are few, and no faster in another type.
public struct ConvertedWeights: WeightSource {
  public let base: any WeightSource
  public let dtype: DType

  public init(_ base: any WeightSource, to dtype: DType) {
    self.base = base
    self.dtype = dtype
  }

  public var names: [String] { base.names }
  public func shape(of name: String) -> [Int]? { base.shape(of: name) }
  public func file(of name: String) -> String? { base.file(of: name) }
  public var files: [String] { base.files }
  public func release() { base.release() }

  public func generated(_ name: String, shape: [Int]) -> Tensor? {
    base.generated(name, shape: shape).map { shape.count < 2 ? $0 : $0.converted(to: dtype) }
  }

  public func parameter(_ name: String) throws -> Parameter {
    let parameter = try base.parameter(name)
    if parameter.shape.count < 2 { return parameter }
    if case .dense(let tensor) = parameter, tensor.dtype == dtype { return parameter }
    let converted = parameter.tensor.converted(to: dtype)
    parameter.release()
    return .dense(converted)
  }
}

extension Parameter {
  /// Where it lies in a file, when it does.
  var mapping: WeightParts.Extent? {
    let storage: Storage
    switch self {
    case .dense(let tensor): storage = tensor.storage
    case .quantized(let matrix): storage = matrix.storage
    }
    guard let mapping = storage.mapping, let file = mapping.owner as? MappedFile,
      let range = file.range(of: mapping.bytes)
    else { return nil }
    return .init(file: file, range: range)
  }

  /// Its pages may go: they come from the file again when they are touched.
  fileprivate func release() {
    if let mapping { mapping.file.advise(.dontNeed, mapping.range) }
  }
}
