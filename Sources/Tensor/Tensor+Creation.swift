import Glibc

extension Tensor {
  /// Memory with undefined content, for a caller that writes every element.
  public init(uninitialized shape: [Int], dtype: DType = .f32) {
    var count = 1
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else { tensorFailure("Tensor: shape \(shape) is negative or too large") }
      count = product
    }
    guard count <= Int.max / 16 else { tensorFailure("Tensor: shape \(shape) is too large") }
    self.init(
      storage: Storage(byteCount: count * dtype.size), dtype: dtype, shape: shape,
      strides: Tensor.contiguousStrides(shape), offset: 0)
  }

  public init(zeros shape: [Int], dtype: DType = .f32) {
    self.init(uninitialized: shape, dtype: dtype)
    memset(storage.base, 0, byteCount)
  }

  public init(ones shape: [Int], dtype: DType = .f32) { self.init(full: shape, 1, dtype: dtype) }

  /// Every element `value`, rounded to `dtype`.
  public init(full shape: [Int], _ value: Float, dtype: DType = .f32) {
    self = Tensor(value).converted(to: dtype).broadcast(to: shape).contiguous()
  }

  /// A scalar: shape `[]`.
  public init(_ value: Float) { self.init([value], shape: []) }

  /// Values in row-major order.
  /// - Parameter shape: defaults to one axis
  public init(_ values: [Float], shape: [Int]? = nil) { self.init(scalars: values, shape: shape) }

  /// Values of any element type in row-major order.
  public init<Scalar: TensorScalar>(scalars values: [Scalar], shape: [Int]? = nil) {
    let shape = shape ?? [values.count]
    self.init(uninitialized: shape, dtype: Scalar.dtype)
    guard values.count == count else {
      tensorFailure("Tensor: \(values.count) values do not fill shape \(shape)")
    }
    values.withUnsafeBytes { bytes in
      if let source = bytes.baseAddress { memcpy(storage.base, source, bytes.count) }
    }
  }

  /// `start, start + step, …` up to but not including `end`, as `torch.arange` computes it in `f32`.
  public init(arange start: Float = 0, to end: Float, step: Float = 1) {
    guard step != 0, (end - start) / step >= 0 || start == end else {
      tensorFailure("Tensor(arange:): from \(start) to \(end) by \(step) never arrives")
    }
    let count = Int(((Double(end) - Double(start)) / Double(step)).rounded(.up))
    self.init((0..<max(0, count)).map { Float(Double(start) + Double($0) * Double(step)) })
  }

  /// `0, 1, … count - 1` as `i64`.
  public init(indices count: Int) { self.init(scalars: Array(0..<count)) }

  /// `count` evenly spaced values from `start` to `end`, both included, as `torch.linspace` computes it.
  public init(linspace start: Float, _ end: Float, count: Int) {
    guard count > 0 else { tensorFailure("Tensor(linspace:): count \(count) is not positive") }
    let step = count > 1 ? (end - start) / Float(count - 1) : 0
    // From both ends towards the middle, so that the last value is exactly `end`.
    self.init((0..<count).map { $0 < (count + 1) / 2 ? start + step * Float($0) : end - step * Float(count - 1 - $0) })
  }

  /// The identity matrix, `[size, columns ?? size]`.
  public init(identity size: Int, columns: Int? = nil, dtype: DType = .f32) {
    let columns = columns ?? size
    var values = [Float](repeating: 0, count: size * columns)
    for row in 0..<min(size, columns) { values[row * columns + row] = 1 }
    self = Tensor(values, shape: [size, columns]).converted(to: dtype)
  }
}
