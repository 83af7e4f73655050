import CKernels

extension Tensor {
  /// The same values as another element type; this tensor itself when it has that type.
  ///
  /// To a narrower float: rounded to nearest, ties to even, NaN kept, overflow to infinity (`f8e4m3`, which has no
  /// infinity, saturates at 448 as in PyTorch). Float to integer: truncated, out of range saturates, NaN gives 0.
  /// Integer to integer: modulo 2^bits. To `bool`: whether the value differs from zero.
  public func converted(to target: DType) -> Tensor {
    if dtype == target { return self }
    guard isContiguous else {
      return mapped(ck_op_copy, [self], as: target, computing: DType.conversionType(from: dtype, to: target))
    }
    let source = aligned()
    let result = Tensor(uninitialized: shape, dtype: target)
    withExtendedLifetime((source, result)) {
      ck_convert(
        Kernels.current.table, dtype.kernelType, source.rawPointer, target.kernelType, result.storage.base, count)
    }
    return result
  }
}

extension DType {
  /// The kernels' name of this type.
  package var kernelType: ck_type {
    switch self {
    case .f64: ck_type_f64
    case .f32: ck_type_f32
    case .f16: ck_type_f16
    case .bf16: ck_type_bf16
    case .f8e4m3: ck_type_f8_e4m3fn
    case .f8e5m2: ck_type_f8_e5m2
    case .i64: ck_type_i64
    case .i32: ck_type_i32
    case .i16: ck_type_i16
    case .i8: ck_type_i8
    case .u64: ck_type_u64
    case .u32: ck_type_u32
    case .u16: ck_type_u16
    case .u8: ck_type_u8
    case .bool: ck_type_bool
    }
  }

  /// The type arithmetic on elements of this type happens in: `f32`, `f64` or `i64`.
  var computeType: DType {
    switch self {
    case .f64: .f64
    case .f32, .f16, .bf16, .f8e4m3, .f8e5m2: .f32
    case .i64, .i32, .i16, .i8, .u64, .u32, .u16, .u8, .bool: .i64
    }
  }

  /// This type where it is a float, else `f32`: what a function with fractional values returns.
  var floatType: DType { isFloatingPoint ? self : .f32 }

  /// The type through which a conversion loses nothing that its two ends hold.
  fileprivate static func conversionType(from source: DType, to target: DType) -> DType {
    if source == .f64 || target == .f64 { return .f64 }
    return source.isFloatingPoint || target.isFloatingPoint ? .f32 : .i64
  }

  /// The element type of `a op b`: the same type stays; a float beats an integer beats `bool`; among floats `f64`
  /// beats all and different narrower ones meet in `f32`; among integers the one that holds both (`u64` and a signed
  /// type meet in `f32`, as in PyTorch).
  static func promoted(_ a: DType, _ b: DType) -> DType {
    if a == b { return a }
    if a == .f64 || b == .f64 { return .f64 }
    if a.isFloatingPoint && b.isFloatingPoint { return .f32 }
    if a.isFloatingPoint || b == .bool { return a }
    if b.isFloatingPoint || a == .bool { return b }
    let (narrow, wide) = a.size < b.size ? (a, b) : (b, a)
    if wide.isSigned == narrow.isSigned || (wide.isSigned && wide.size > narrow.size) { return wide }
    switch wide.size {  // unsigned, with a signed partner: the next signed size
    case 1: return .i16
    case 2: return .i32
    case 4: return .i64
    default: return .f32
    }
  }

  private var isSigned: Bool {
    switch self {
    case .u64, .u32, .u16, .u8, .bool: false
    default: true
    }
  }
}
