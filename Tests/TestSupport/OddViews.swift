import Glibc
import Tensor

/// The same elements laid out in every way an operation may meet: in order, axes reversed, backwards, with gaps,
/// in a mapped file at an address that fits no element type, and (where all are equal along an axis) broadcast.
public func oddViews(of tensor: Tensor) -> [Tensor] {
  let axes = Array(tensor.shape.indices)
  var backwards = tensor, forwards = Tensor?.none
  for axis in axes { backwards = backwards.flipped(axis) }
  backwards = backwards.copied()
  for axis in axes { backwards = backwards.flipped(axis) }
  forwards = tensor.permuted(axes.reversed()).copied().permuted(axes.reversed())
  let gaps = tensor.unsqueezed(-1).broadcast(to: tensor.shape + [3]).copied()[.ellipsis, 1]
  return [tensor.contiguous(), forwards ?? tensor, backwards, gaps, mappedAtOddAddress(tensor)]
}

/// A read-only tensor one byte off any alignment.
public func mappedAtOddAddress(_ tensor: Tensor) -> Tensor {
  let bytes = tensor.bytes, block = OddBlock(bytes)
  let storage = Storage(mapped: UnsafeRawPointer(block.base + 1), byteCount: bytes.count, owner: block)
  return Tensor(storage: storage, dtype: tensor.dtype, shape: tensor.shape)
}

private final class OddBlock: Sendable {
  nonisolated(unsafe) let base: UnsafeMutableRawPointer  // written only while it is made

  init(_ bytes: [UInt8]) {
    base = UnsafeMutableRawPointer.allocate(byteCount: bytes.count + 1, alignment: 64)
    bytes.withUnsafeBytes { source in
      if let origin = source.baseAddress { memcpy(base + 1, origin, source.count) }
    }
  }

  deinit { base.deallocate() }
}

/// Random numbers that are the same in every run (SplitMix64).
public struct TestRandom: RandomNumberGenerator {
  private var state: UInt64

  public init(_ seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Whole numbers from 0 to 99, exact in every dtype of 8 bits and more but `bool` and the 8-bit floats.
  public mutating func tensor(_ shape: [Int], dtype: DType = .f32, below limit: Int = 100) -> Tensor {
    let values = (0..<shape.reduce(1, *)).map { _ in Float(Int.random(in: 0..<limit, using: &self)) }
    return Tensor(values, shape: shape).converted(to: dtype)
  }

  public mutating func indices(_ shape: [Int], in range: Range<Int>) -> Tensor {
    Tensor(scalars: (0..<shape.reduce(1, *)).map { _ in Int.random(in: range, using: &self) }, shape: shape)
  }
}

/// Elements by position, the slow and plain way: what operations are compared with.
public struct Plain {
  public let shape: [Int]
  public private(set) var values: [Double]

  public init(_ tensor: Tensor) {
    shape = tensor.shape
    values = tensor.converted(to: .f64).scalars(as: Double.self)
  }

  public init(shape: [Int], _ value: ([Int]) -> Double) {
    self.shape = shape
    values = Plain.positions(shape).map(value)
  }

  public subscript(position: [Int]) -> Double {
    get { values[index(position)] }
    set { values[index(position)] = newValue }
  }

  private func index(_ position: [Int]) -> Int {
    zip(position, shape).reduce(0) { $0 * $1.1 + $1.0 }
  }

  /// All positions of a shape in row-major order.
  public static func positions(_ shape: [Int]) -> [[Int]] {
    shape.reduce([[]]) { starts, extent in starts.flatMap { start in (0..<extent).map { start + [$0] } } }
  }
}
