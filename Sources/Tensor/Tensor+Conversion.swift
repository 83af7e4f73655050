extension Tensor {
  /// The same values as another element type, rounded to nearest even; this tensor itself when it has that type.
  public func converted(to target: DType) -> Tensor {
    if dtype == target { return self }
    switch dtype {
    case .f32: return spread(scalars(as: Float.self).map(Double.init), target)
    case .f64: return spread(scalars(as: Double.self), target)
    case .f16: return spread(scalars(as: Float16.self).map(Double.init), target)
    case .bf16: return spread(scalars(as: BFloat16.self).map { Double(Float($0)) }, target)
    case .i64: return spread(scalars(as: Int64.self).map(Double.init), target)
    case .i32: return spread(scalars(as: Int32.self).map(Double.init), target)
    case .u8: return spread(scalars(as: UInt8.self).map(Double.init), target)
    case .f8e4m3: return spread(view8().map { Self.f8($0, 4, 7, 3) }, target)
    case .f8e5m2: return spread(view8().map { Self.f8($0, 5, 15, 2) }, target)
    case .bool: return spread(scalars(as: Bool.self).map { $0 ? 1 : 0 }, target)
    default: tensorFailure("converted: \(dtype) to \(target)")
    }
  }
  private func view8() -> [UInt8] { bytes }
  private static func f8(_ b: UInt8, _ e: Int, _ bias: Int, _ m: Int) -> Double {
    let sign = b & 0x80 == 0 ? 1.0 : -1.0, ex = Int(b & 0x7F) >> m, ma = Int(b) & ((1 << m) - 1)
    if e == 4, ex == 15, ma == 7 { return .nan }
    if e == 5, ex == 31 { return ma == 0 ? sign * .infinity : .nan }
    let f = ex == 0 ? Double(ma) / Double(1 << m) : 1 + Double(ma) / Double(1 << m)
    return sign * f * Double(sign: .plus, exponent: max(ex, 1) - bias, significand: 1)
  }
  private func spread(_ v: [Double], _ target: DType) -> Tensor {
    switch target {
    case .f32: Tensor(scalars: v.map { Float($0) }, shape: shape)
    case .f64: Tensor(scalars: v, shape: shape)
    case .f16: Tensor(scalars: v.map { Float16($0) }, shape: shape)
    case .bf16: Tensor(scalars: v.map { BFloat16(Float($0)) }, shape: shape)
    case .i64: Tensor(scalars: v.map { Int64($0) }, shape: shape)
    case .i32: Tensor(scalars: v.map { Int32($0) }, shape: shape)
    case .u8: Tensor(scalars: v.map { UInt8($0) }, shape: shape)
    case .bool: Tensor(scalars: v.map { $0 != 0 }, shape: shape)
    default: tensorFailure("converted: \(dtype) to \(target)")
    }
  }
}
