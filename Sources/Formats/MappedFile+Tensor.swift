// Tensors that lie in a mapped file.

import Tensor

extension MappedFile {
  /// A view on `range`, without a copy, at any alignment. The tensor keeps the file mapped.
  ///
  /// Booleans are the exception: bytes other than 0 and 1, which mean true, are replaced in a copy.
  ///
  /// - Parameter range: within the file, and as many bytes as shape and type need: the format readers have checked it
  func tensor(_ range: Range<Int>, _ dtype: DType, _ shape: [Int]) -> Tensor {
    let part = UnsafeRawBufferPointer(rebasing: bytes[range])
    if dtype == .bool, part.contains(where: { $0 > 1 }) {
      var tensor = Tensor(uninitialized: shape, dtype: .bool)
      let target = tensor.uniquePointer()
      for (index, byte) in part.enumerated() {
        target.storeBytes(of: byte == 0 ? 0 : 1, toByteOffset: index, as: UInt8.self)
      }
      return tensor
    }
    return Tensor(storage: storage(range), dtype: dtype, shape: shape)
  }

  /// The bytes of `range`, where they lie. The storage keeps the file mapped.
  func storage(_ range: Range<Int>) -> Storage {
    bytes.baseAddress.map { Storage(mapped: $0 + range.lowerBound, byteCount: range.count, owner: self) }
      ?? Storage(byteCount: 0)
  }
}
