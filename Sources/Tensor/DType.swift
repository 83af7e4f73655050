/// The element types a tensor can hold: those of the files people have.
///
/// Arithmetic happens in `f32` (in `f64` for `f64`, in 64-bit integers for integers); the narrow floats are storage.
public enum DType: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  case f64, f32, f16, bf16
  /// 8-bit floats as PyTorch's `float8_e4m3fn` and `float8_e5m2`.
  case f8e4m3, f8e5m2
  case i64, i32, i16, i8
  case u64, u32, u16, u8
  case bool

  /// Bytes per element.
  public var size: Int {
    switch self {
    case .f64, .i64, .u64: 8
    case .f32, .i32, .u32: 4
    case .f16, .bf16, .i16, .u16: 2
    case .f8e4m3, .f8e5m2, .i8, .u8, .bool: 1
    }
  }

  public var isFloatingPoint: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2: true
    default: false
    }
  }

  public var isInteger: Bool { !isFloatingPoint && self != .bool }

  public var description: String { rawValue }
}

/// A bfloat16 number: the upper half of a `Float`.
public struct BFloat16: Sendable, Hashable, CustomStringConvertible {
  public var bitPattern: UInt16

  public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
  public init(_ value: Float) {
    let bits = value.bitPattern
    guard !value.isNaN else {
      bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x0040
      return
    }
    bitPattern = UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
  }

  public var description: String { Float(self).description }
}

extension Float {
  public init(_ value: BFloat16) { self.init(bitPattern: UInt32(value.bitPattern) << 16) }
}

/// A Swift type that is the element of a `DType`.
public protocol TensorScalar: BitwiseCopyable, Sendable {
  static var dtype: DType { get }
}

extension Double: TensorScalar { public static var dtype: DType { .f64 } }
extension Float: TensorScalar { public static var dtype: DType { .f32 } }
extension Float16: TensorScalar { public static var dtype: DType { .f16 } }
extension BFloat16: TensorScalar { public static var dtype: DType { .bf16 } }
extension Int64: TensorScalar { public static var dtype: DType { .i64 } }
extension Int: TensorScalar { public static var dtype: DType { .i64 } }
extension Int32: TensorScalar { public static var dtype: DType { .i32 } }
extension Int16: TensorScalar { public static var dtype: DType { .i16 } }
extension Int8: TensorScalar { public static var dtype: DType { .i8 } }
extension UInt64: TensorScalar { public static var dtype: DType { .u64 } }
extension UInt32: TensorScalar { public static var dtype: DType { .u32 } }
extension UInt16: TensorScalar { public static var dtype: DType { .u16 } }
extension UInt8: TensorScalar { public static var dtype: DType { .u8 } }
extension Bool: TensorScalar { public static var dtype: DType { .bool } }
