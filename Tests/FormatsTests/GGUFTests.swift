import Formats
import Tensor
import TestSupport
import Testing

/// The bytes of a number, the lowest first.
private func little(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// Builds small GGUF files, right and wrong ones.
struct GGUFBuilder {
  var version: UInt32 = 3
  var metadata: [(String, UInt32, [UInt8])] = []
  /// Name, extents in the file's order, type, offset.
  var tensors: [(String, [UInt64], UInt32, UInt64)] = []
  var data: [UInt8] = []
  var tensorCount: UInt64?
  var metadataCount: UInt64?

  static func string(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }

  var bytes: [UInt8] {
    var result = Array("GGUF".utf8) + little(version)
    result += little(tensorCount ?? UInt64(tensors.count)) + little(metadataCount ?? UInt64(metadata.count))
    for (key, type, value) in metadata { result += Self.string(key) + little(type) + value }
    for (name, extents, type, offset) in tensors {
      result += Self.string(name) + little(UInt32(extents.count)) + extents.flatMap { little($0) }
      result += little(type) + little(offset)
    }
    result += [UInt8](repeating: 0, count: (32 - result.count % 32) % 32)
    return result + data
  }

  var file: GGUFFile { get throws { try GGUFFile(MappedFile(contents: bytes, name: "test.gguf")) } }
}

@Suite struct GGUFTests {
  @Test func plainTensorsAreViewsWithReversedShape() throws {
    let values: [Float] = [1, 2, 3, 4, 5, 6]
    let builder = GGUFBuilder(
      version: 2, tensors: [("w", [3, 2], 0, 0)], data: values.flatMap { little($0.bitPattern) })
    let tensor = try builder.file.tensor("w")
    #expect(tensor.shape == [2, 3] && tensor.isMapped && tensor.floats == values)
  }

  @Test func metadataKeepsItsTypes() throws {
    let nested = little(9 as UInt32) + little(1 as UInt64) + little(0 as UInt32) + little(2 as UInt64) + [7, 8]
    let file = try GGUFBuilder(metadata: [
      ("u8", 0, [200]), ("i16", 3, little(-2 as Int16)), ("u64", 10, little(UInt64.max)),
      ("f64", 12, little((0.1).bitPattern)), ("flag", 7, [1]), ("nested", 9, nested),
      ("bad text", 8, little(1 as UInt64) + [0xFF]),
    ]).file
    #expect(file.metadata["u8"] == .uint8(200))
    #expect(file.metadata["i16"]?.int == -2)
    #expect(file.metadata["u64"] == .uint64(.max) && file.metadata["u64"]?.int == nil)
    #expect(file.metadata["f64"]?.double == 0.1)
    #expect(file.metadata["flag"]?.bool == true)
    #expect(file.metadata["nested"] == .array([.array([.uint8(7), .uint8(8)])]))
    #expect(file.metadata["bad text"]?.string == "\u{FFFD}")
  }

  @Test func alignmentComesFromTheMetadata() throws {
    var builder = GGUFBuilder(metadata: [("general.alignment", 4, little(8 as UInt32))])
    builder.tensors = [("a", [1], 24, 0), ("b", [1], 24, 8)]
    builder.data = [UInt8](repeating: 5, count: 9)
    let file = try builder.file
    #expect(file.alignment == 8)
    #expect(try file.tensor("b").scalars(as: Int8.self).count == 1)
  }

  static let wrong: [(String, GGUFBuilder)] = {
    let deep =
      (0..<6).flatMap { _ in little(9 as UInt32) + little(1 as UInt64) } + little(0 as UInt32) + little(0 as UInt64)
    return [
      ("version 1, expected 2 or 3", GGUFBuilder(version: 1)),
      ("a big-endian file of version 3", GGUFBuilder(version: 0x0300_0000)),
      ("tensors, expected at most", GGUFBuilder(tensorCount: .max)),
      ("metadata values, expected at most", GGUFBuilder(metadataCount: 1 << 40)),
      ("'k' occurs twice", GGUFBuilder(metadata: [("k", 0, [1]), ("k", 0, [1])])),
      ("expected a type from 0 to 12", GGUFBuilder(metadata: [("k", 13, [1])])),
      ("expected 0 or 1", GGUFBuilder(metadata: [("k", 7, [2])])),
      ("arrays inside each other", GGUFBuilder(metadata: [("k", 9, deep)])),
      (
        "elements of 'k', expected at most",
        GGUFBuilder(metadata: [("k", 9, little(4 as UInt32) + little(UInt64.max / 4))])
      ),
      ("power of two", GGUFBuilder(metadata: [("general.alignment", 4, little(24 as UInt32))])),
      ("power of two", GGUFBuilder(metadata: [("general.alignment", 4, little(0 as UInt32))])),
      (
        "'w' occurs twice",
        GGUFBuilder(tensors: [("w", [1], 24, 0), ("w", [1], 24, 32)], data: [UInt8](repeating: 0, count: 64))
      ),
      ("tensor 'w': unknown type 4", GGUFBuilder(tensors: [("w", [32], 4, 0)])),
      ("rows of 33 values, expected a multiple of 32", GGUFBuilder(tensors: [("w", [33], 8, 0)])),
      ("is too large", GGUFBuilder(tensors: [("w", [1 << 33, 1 << 33], 0, 0)])),
      ("is too large", GGUFBuilder(tensors: [("w", [.max], 0, 0)])),
      ("axes of 'w', expected at most 8", GGUFBuilder(tensors: [("w", [UInt64](repeating: 1, count: 9), 0, 0)])),
      ("data at byte 1,", GGUFBuilder(tensors: [("w", [1], 24, 1)], data: [1, 2])),
      ("data at byte 0,", GGUFBuilder(tensors: [("w", [8], 24, 0)], data: [1, 2])),
      (
        "data at byte 0,",
        GGUFBuilder(tensors: [("v", [8], 24, 0), ("w", [8], 24, 0)], data: [UInt8](repeating: 1, count: 64))
      ),
      ("data at byte 18446744073709551584,", GGUFBuilder(tensors: [("w", [1], 24, .max - 31)], data: [1])),
    ]
  }()

  @Test(arguments: wrong.indices) func wrongFilesAreRefused(_ index: Int) {
    let (text, builder) = Self.wrong[index]
    let error = #expect(throws: GGUFError.self, "\(text)") { try builder.file }
    #expect(error?.description.contains(text) == true, "\(String(describing: error)), expected \(text)")
  }

  @Test func typesThatCannotBeReadAreNamed() throws {
    let file = try GGUFBuilder(
      tensors: [("iq", [256], 23, 0), ("plain", [4], 24, 160)], data: [UInt8](repeating: 0, count: 164)
    ).file
    #expect(throws: GGUFError("test.gguf", .unsupportedType(tensor: "iq", type: "IQ4_XS"))) { try file.tensor("iq") }
    #expect(throws: GGUFError("test.gguf", .notQuantized(tensor: "plain", type: "I8"))) { try file.quantized("plain") }
    #expect(throws: GGUFError.self) { try file.tensor("x") }
  }

  @Test func manyRowsAreUnpackedAlikeInOnePieceAndByRow() throws {
    // Q8_0, 40 rows of 3 blocks: scale 2^-(row % 5), codes counting up.
    var data: [UInt8] = []
    for row in 0..<40 {
      for block in 0..<3 {
        data += little(Float16(sign: .plus, exponent: -(row % 5), significand: 1).bitPattern)
        data += (0..<32).map { UInt8(truncatingIfNeeded: row * 31 + block * 7 + $0) }
      }
    }
    let file = try GGUFBuilder(tensors: [("w", [96, 40], 8, 0)], data: data).file
    let matrix = try file.quantized("w")
    #expect(matrix.rows == 40 && matrix.columns == 96 && matrix.rowBytes == 102)
    let whole = matrix.dequantized().floats
    for row in 0..<40 {
      let values = matrix.dequantized(rows: row..<row + 1).floats
      #expect(values == Array(whole[row * 96..<row * 96 + 96]))
      #expect(values[33] == Float(Int8(truncatingIfNeeded: row * 31 + 8)) / Float(1 << (row % 5)))
    }
  }

  @Test func subnormalAndInfiniteScalesAreKept() throws {
    let scales: [UInt16] = [0x0001, 0x8001, 0x03FF, 0x7C00, 0xFC00, 0x7BFF, 0x8000]
    let data = scales.flatMap { little($0) + [1] + [UInt8](repeating: 0, count: 31) }
    let values = try GGUFBuilder(tensors: [("w", [32, 7], 8, 0)], data: data).file.tensor("w").floats
    for (row, bits) in scales.enumerated() { #expect(values[row * 32] == Float(Float16(bitPattern: bits))) }
  }

  @Test func everyTruncationIsRefused() throws {
    let file = try GGUFFile(path: FormatFixtures.path("formats/gguf/file.gguf"))
    let end = try #require(file.entries.last).range.upperBound  // padding follows
    let bytes = Array(try FormatFixtures.contents("formats/gguf/file.gguf")[..<end])
    expectEveryTruncationThrows(bytes, GGUFError.self, step: 7) { _ = try GGUFFile($0) }
  }

  @Test func bitFlipsAreHarmless() throws {
    let bytes = try FormatFixtures.contents("formats/gguf/file.gguf")
    let header = Array(bytes[..<1400])
    var refused = 0
    for bit in 0..<header.count * 8 {
      var changed = bytes
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      do {
        let file = try GGUFFile(MappedFile(contents: changed, name: "bit \(bit)"))
        if bit % 16 == 0 { for name in file.names { _ = try file.tensor(name).bytes } }
      } catch is GGUFError {
        refused += 1
      }
    }
    #expect(refused > 1000)
  }
}
