import Glibc

extension Tensor {
  /// The elements in row-major order, converted to `Float`.
  public var floats: [Float] { converted(to: .f32).scalars(as: Float.self) }

  /// The elements in row-major order.
  ///
  /// - Parameter type: the type of `dtype`; nothing is converted
  public func scalars<Scalar: TensorScalar>(as type: Scalar.Type) -> [Scalar] {
    requireDType(Scalar.dtype, "scalars(as: \(Scalar.self))")
    let packed = contiguous()
    return [Scalar](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let target = buffer.baseAddress { memcpy(target, packed.rawPointer, packed.byteCount) }
      initialized = count
    }
  }

  /// The only element of a one-element tensor, as `Float`.
  public var item: Float {
    guard count == 1 else { tensorFailure("item: shape \(shape) has \(count) elements, not one") }
    return floats[0]
  }

  /// The elements as bytes in row-major order, little-endian as in memory.
  public var bytes: [UInt8] {
    let packed = contiguous()
    return [UInt8](UnsafeRawBufferPointer(start: packed.rawPointer, count: packed.byteCount))
  }

  /// Lends the elements of an `f32` tensor in row-major order, without a copy when they lie so.
  public func withFloats<Result, Failure: Error>(
    _ body: (Span<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    requireDType(.f32, "withFloats")
    let packed = aligned()
    let buffer = UnsafeBufferPointer(start: packed.rawPointer.assumingMemoryBound(to: Float.self), count: count)
    return try withExtendedLifetime(packed) { () throws(Failure) in try body(buffer.span) }
  }

  /// Lends the elements of an `f32` tensor in row-major order for writing.
  public mutating func withMutableFloats<Result, Failure: Error>(
    _ body: (inout MutableSpan<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    requireDType(.f32, "withMutableFloats")
    let base = uniquePointer().assumingMemoryBound(to: Float.self)
    var span = UnsafeMutableBufferPointer(start: base, count: count).mutableSpan
    return try body(&span)
  }

  /// Address of the first element. Strides apply; the address may be unaligned when the tensor is mapped.
  ///
  /// Valid only while the tensor lives: keep it with `withExtendedLifetime`.
  package var rawPointer: UnsafeRawPointer { UnsafeRawPointer(storage.base) + offset * dtype.size }

  /// Address of the first element for writing, after making this tensor the contiguous, sole owner of its memory.
  package mutating func uniquePointer() -> UnsafeMutableRawPointer {
    if !isKnownUniquelyReferenced(&storage) || !storage.isWritable || !isContiguous { self = copied() }
    return storage.base + offset * dtype.size
  }

  /// Address for writing into memory that this call's caller has just made (`uninitialized`) and shares with nobody.
  package mutating func freshPointer<Scalar: TensorScalar>(as type: Scalar.Type) -> UnsafeMutablePointer<Scalar> {
    requireDType(Scalar.dtype, "freshPointer")
    return uniquePointer().assumingMemoryBound(to: Scalar.self)
  }

  /// Contiguous, and at an address that fits the element type (mapped files promise neither).
  package func aligned() -> Tensor {
    let packed = contiguous()
    return UInt(bitPattern: packed.rawPointer) % UInt(dtype.size) == 0 ? packed : packed.copied()
  }

  /// This axis counted from the front: -1 is the last.
  package func normalizedAxis(_ axis: Int, _ operation: String) -> Int {
    let normalized = axis < 0 ? axis + rank : axis
    guard shape.indices.contains(normalized) else {
      tensorFailure("\(operation): axis \(axis) does not exist in shape \(shape)")
    }
    return normalized
  }

  package func requireDType(_ expected: DType, _ operation: String) {
    guard dtype == expected else { tensorFailure("\(operation): expected \(expected), found \(dtype), shape \(shape)") }
  }
}
