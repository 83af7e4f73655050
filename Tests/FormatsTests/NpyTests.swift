import Formats
import Tensor
import TestSupport
import Testing

@Suite struct NpyTests {
  static func bytes(_ header: String, version: UInt8 = 1, _ data: [UInt8] = []) -> [UInt8] {
    let text = Array(header.utf8)
    let length = [UInt8(text.count & 255), UInt8(text.count >> 8)] + (version == 1 ? [] : [0, 0])
    return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data
  }

  @Test(arguments: ["O", "<c8", "<U4", "<M8[s]", "<f16", "|S3", "<i3", ""])
  func typesWithoutCounterpartAreNamed(_ type: String) {
    let bytes = Self.bytes("{'descr': '\(type)', 'fortran_order': False, 'shape': (0,), }")
    let error = #expect(throws: NpyError.self) { try Npy.read(MappedFile(contents: bytes, name: "x.npy")) }
    #expect(error?.problem == .unsupportedType("'\(type)'"))
  }

  @Test(arguments: [
    "{'descr': '|u1', 'fortran_order': False}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'shape': (1,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1)}",
    "{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': [1]}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} x",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': ()",
  ])
  func headersOutsideTheFormatAreRefused(_ header: String) {
    let bytes = Self.bytes(header, [7])
    #expect(throws: NpyError.self) { try Npy.read(MappedFile(contents: bytes, name: "x.npy")) }
  }

  @Test func version3AndOldPythonTuplesAreRead() throws {
    let bytes = Self.bytes("{\"descr\": '>i2', 'fortran_order': True, 'shape': (1L, 2L)}\n", version: 3, [1, 2, 3, 4])
    let tensor = try Npy.read(MappedFile(contents: bytes, name: "x.npy"))
    #expect(tensor.shape == [1, 2])
    #expect(tensor.scalars(as: Int16.self) == [0x0102, 0x0304])
  }

  @Test func everyTruncationIsRefused() throws {
    for name in ["f4.npy", "version2.npy", "fortran.npy"] {
      let bytes = try FormatFixtures.contents("formats/npy/\(name)")
      expectEveryTruncationThrows(bytes, NpyError.self) { _ = try Npy.read($0) }
      expectBitFlipsAreHarmless(bytes, NpyError.self) { _ = try Npy.read($0).bytes }
    }
  }

  @Test(arguments: [[], [0], [5], [2, 3], [3, 0, 2], [1, 2, 3, 4]])
  func whatIsWrittenIsRead(_ shape: [Int]) throws {
    try withFolder { folder in
      let count = shape.reduce(1, *)
      let tensors = [
        Tensor((0..<count).map { Float($0) - 1.5 }, shape: shape),
        Tensor(scalars: (0..<count).map { Int64($0) << 33 }, shape: shape),
        Tensor(scalars: (0..<count).map { $0 % 2 == 0 }, shape: shape),
        Tensor(scalars: (0..<count).map { Float16($0) }, shape: shape),
      ]
      for tensor in tensors {
        try Npy.write(tensor, to: folder + "/x.npy")
        let found = try Npy.read(path: folder + "/x.npy")
        #expect(found.bytes == tensor.bytes && found.shape == shape && found.dtype == tensor.dtype)
        #expect(try FormatFixtures.contents(folder: folder, "x.npy").count % 64 == tensor.byteCount % 64)
      }
    }
  }

  @Test func bfloat16IsWrittenAsFloat32() throws {
    try withFolder { folder in
      try Npy.write(Tensor([1.5, -3]).converted(to: .bf16), to: folder + "/x.npy")
      let found = try Npy.read(path: folder + "/x.npy")
      #expect(found.dtype == .f32 && found.floats == [1.5, -3])
    }
  }
}
