// Arrays of strings: names beside numbers in an archive.

import Tensor

extension Npy {
  /// The strings of an array of NumPy's type `U` (UTF-32) or `S` (bytes, read as UTF-8), in row-major order; one for an
  /// array without axes. Zeros at the end of a string are filling.
  static func strings(_ file: MappedFile, range: Range<Int>, name: String) throws -> [String] {
    try file.withBytes { bytes in
      let part = UnsafeRawBufferPointer(rebasing: bytes[range])
      let header = try NpyHeader(part, path: name)
      guard header.textType != nil else { throw NpyError(name, .notStrings("\(header.dtype)")) }
      guard let count = checkedElementCount(header.shape) else { throw NpyError(name, .shape(header.shape)) }
      let width = header.letters * header.dtype.size
      let (size, overflow) = count.multipliedReportingOverflow(by: width)
      let found = part.count - header.dataOffset
      guard !overflow, found == size else { throw NpyError(name, .dataSize(found: found, expected: size)) }
      let strings = (0..<count).map { index in
        text(UnsafeRawBufferPointer(rebasing: part[(header.dataOffset + index * width)...].prefix(width)), header)
      }
      guard header.isFortranOrder, header.shape.count > 1 else { return strings }
      let order = Tensor(indices: count).reshaped(header.shape.reversed())
      return order.permuted(header.shape.indices.reversed()).scalars(as: Int.self).map { strings[$0] }
    }
  }

  private static func text(_ bytes: UnsafeRawBufferPointer, _ header: NpyHeader) -> String {
    if header.dtype == .u8 {
      return String(decoding: bytes[..<(1 + (bytes.lastIndex { $0 != 0 } ?? -1))], as: UTF8.self)
    }
    let scalars = (0..<header.letters).map { index in
      let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)
      return header.isBigEndian ? value.bigEndian : value.littleEndian
    }
    var view = String.UnicodeScalarView()
    view.append(
      contentsOf: scalars[..<(1 + (scalars.lastIndex { $0 != 0 } ?? -1))].map { Unicode.Scalar($0) ?? "\u{FFFD}" })
    return String(view)
  }

  /// A file of strings in UTF-32, little-endian.
  ///
  /// - Parameter shape: `[]` for one string without axes
  static func encoded(_ strings: [String], shape: [Int]) -> [UInt8] {
    let width = max(1, strings.map { $0.unicodeScalars.count }.max() ?? 1)
    var bytes = NpyHeader.encoded(descriptor: "<U\(width)", shape)
    for string in strings {
      let scalars = string.unicodeScalars.map(\.value)
      for index in 0..<width { bytes.appendLittleEndian(index < scalars.count ? scalars[index] : 0) }
    }
    return bytes
  }
}

extension NpzFile {
  /// An array of strings, in row-major order; one for an array without axes, as `numpy.savez(id="a")` writes it.
  ///
  /// - Throws: `NpzError` when there is no such array or its data are damaged, `NpyError` when it holds no strings
  public func strings(_ name: String) throws -> [String] {
    let (file, range, member) = try contents(name)
    return try Npy.strings(file, range: range, name: "\(path)/\(member)")
  }
}
