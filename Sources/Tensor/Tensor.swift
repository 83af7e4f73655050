/// A strided, multi-dimensional array of numbers.
///
/// - Value semantics: a tensor behaves like an `Array`. Slices, transposes and (where strides allow) reshapes are
///   views that share memory until one side is written; then the writer copies. A slice never writes through to the
///   tensor it came from: write with `x[…] = value` on `x` itself. (NumPy and PyTorch write through.)
/// - The element type is dynamic (`dtype`). Weights stay as they lie in the file; arithmetic happens in `f32`.
/// - A wrong shape inside an operation stops the program with both shapes in the text; what comes from outside
///   (files, names, sizes) throws.
public struct Tensor: Sendable {
  /// Extent of every axis; empty for a scalar.
  public let shape: [Int]
  /// Distance between neighbours along every axis, in elements; 0 on a broadcast axis.
  public let strides: [Int]
  public let dtype: DType
  /// Position of the first element in `storage`, in elements.
  let offset: Int
  package var storage: Storage

  /// Number of axes.
  public var rank: Int { shape.count }
  /// Number of elements.
  public var count: Int { shape.reduce(1, *) }
  /// Bytes the elements take when contiguous.
  public var byteCount: Int { count * dtype.size }

  /// Whether the elements lie in row-major order without gaps. Axes of extent 1 do not count.
  public var isContiguous: Bool {
    var expected = 1
    for axis in shape.indices.reversed() where shape[axis] != 1 {
      if shape[axis] == 0 { return true }
      if strides[axis] != expected { return false }
      expected *= shape[axis]
    }
    return true
  }

  /// Whether the elements lie in a mapped file rather than in memory of our own.
  public var isMapped: Bool { !storage.isWritable }

  init(storage: Storage, dtype: DType, shape: [Int], strides: [Int], offset: Int) {
    self.storage = storage
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.offset = offset
  }

  /// Contiguous elements at the start of `storage`: how files hand out their data.
  ///
  /// - Parameter storage: at least `shape`'s count times the element size in bytes
  package init(storage: Storage, dtype: DType, shape: [Int]) {
    let needed = shape.reduce(1, *) * dtype.size
    guard storage.byteCount >= needed else {
      tensorFailure("Tensor: shape \(shape) of \(dtype) needs \(needed) bytes, the storage has \(storage.byteCount)")
    }
    self.init(storage: storage, dtype: dtype, shape: shape, strides: Tensor.contiguousStrides(shape), offset: 0)
  }

  /// Row-major strides of a shape, in elements.
  static func contiguousStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * max(1, shape[axis + 1])
    }
    return strides
  }

  /// The same memory seen with another shape and strides.
  func view(shape: [Int], strides: [Int], offset: Int? = nil) -> Tensor {
    Tensor(storage: storage, dtype: dtype, shape: shape, strides: strides, offset: offset ?? self.offset)
  }
}
