// The bridge from tensors to the element-wise kernels: broadcasting, result types, memory.
import CKernels

extension Tensor {
  /// `op` over operands broadcast to one shape, in fresh row-major memory.
  ///
  /// - Parameters:
  ///   - target: element type of the result
  ///   - compute: `f32`, `f64` or `i64`: what the operands are brought to
  func mapped(_ op: ck_op, _ operands: [Tensor], as target: DType, computing compute: DType) -> Tensor {
    let shape = operands.dropFirst().reduce(operands[0].shape) { Tensor.broadcastShape($0, $1.shape, op.name) }
    let result = Tensor(uninitialized: shape, dtype: target)
    Tensor.run(op, operands, into: result, computing: compute)
    return result
  }

  /// `self = op(operands…)` where the first operand is this tensor: in its own memory when nobody else sees it and
  /// shape and type stay, else in fresh memory.
  mutating func map(_ op: ck_op, with others: [Tensor], as target: DType, computing compute: DType) {
    let shape = others.reduce(self.shape) { Tensor.broadcastShape($0, $1.shape, op.name) }
    if target == dtype, shape == self.shape, isContiguous, storage.isWritable, isKnownUniquelyReferenced(&storage) {
      // The kernel reads every element before it writes it, and no other operand shares this memory.
      Tensor.run(op, [self] + others, into: self, computing: compute)
    } else {
      self = mapped(op, [self] + others, as: target, computing: compute)
    }
  }

  /// Writes op(operands…) to `result`, whose memory the caller alone sees.
  private static func run(_ op: ck_op, _ operands: [Tensor], into result: Tensor, computing compute: DType) {
    // Strides beyond the kernel's rank never occur in practice; row-major copies need one axis only.
    let flat = result.rank > Int(ck_max_rank)
    let shape = flat ? [result.count] : result.shape
    let inputs = operands.map { operand in
      let wide = operand.broadcast(to: result.shape)
      let usable = flat ? wide.contiguous() : wide
      return usable.isAddressAligned ? usable : usable.copied()
    }
    var out = result.kernelOperand(flat: flat)
    let table = Kernels.current.table
    withExtendedLifetime((inputs, result)) {
      let pointers = inputs.map { $0.kernelOperand(flat: flat) }
      ck_map(table, op, compute.kernelType, shape.count, shape, pointers, &out)
    }
  }

  var isAddressAligned: Bool { UInt(bitPattern: rawPointer) % UInt(dtype.size) == 0 }

  private func kernelOperand(flat: Bool) -> ck_operand {
    var operand = ck_operand()
    operand.data = rawPointer
    operand.type = dtype.kernelType
    let strides = flat ? [1] : self.strides
    withUnsafeMutableBytes(of: &operand.strides) { bytes in
      for (axis, stride) in strides.enumerated() {
        bytes.storeBytes(of: stride, toByteOffset: axis * MemoryLayout<Int>.stride, as: Int.self)
      }
    }
    return operand
  }

  // MARK: What operations share

  /// One operand, result of the same type (`fractional`: of a float type).
  func unary(_ op: ck_op, fractional: Bool = false) -> Tensor {
    let type = fractional ? dtype.floatType : dtype
    return mapped(op, [self], as: type, computing: type.computeType)
  }

  /// Two operands, result of their common type (`fractional`: of a float type).
  static func binary(_ op: ck_op, _ a: Tensor, _ b: Tensor, fractional: Bool = false) -> Tensor {
    let common = DType.promoted(a.dtype, b.dtype), type = fractional ? common.floatType : common
    return a.mapped(op, [a, b], as: type, computing: type.computeType)
  }

  mutating func apply(_ op: ck_op, _ other: Tensor, fractional: Bool = false) {
    let common = DType.promoted(dtype, other.dtype), type = fractional ? common.floatType : common
    map(op, with: [other], as: type, computing: type.computeType)
  }

  /// A scalar that takes on the type of the float tensor it meets; an integer tensor meets it in `f32`.
  func scalar(_ value: Float) -> Tensor {
    dtype == .f32 || !dtype.isFloatingPoint ? Tensor(value) : Tensor(value).converted(to: dtype.computeType)
  }

  /// The type of this tensor combined with a `Float`.
  var scalarResultType: DType { dtype.floatType }

  func withScalar(_ op: ck_op, _ value: Float, reversed: Bool = false) -> Tensor {
    let scalar = scalar(value)
    return mapped(
      op, reversed ? [scalar, self] : [self, scalar], as: scalarResultType, computing: scalarResultType.computeType)
  }

  mutating func applyScalar(_ op: ck_op, _ value: Float) {
    map(op, with: [scalar(value)], as: scalarResultType, computing: scalarResultType.computeType)
  }
}

extension ck_op {
  /// What an error calls the operation.
  fileprivate var name: String {
    switch self {
    case ck_op_add: "+"
    case ck_op_subtract: "-"
    case ck_op_multiply: "*"
    case ck_op_divide: "/"
    case ck_op_minimum: "minimum"
    case ck_op_maximum: "maximum"
    case ck_op_power: "power"
    case ck_op_select: "where"
    case ck_op_clamp: "clamped"
    case ck_op_multiply_add: "multiplyAdd"
    case ck_op_modulate: "modulated"
    case ck_op_and, ck_op_or, ck_op_xor: "logical operation"
    default: "comparison"
    }
  }
}
