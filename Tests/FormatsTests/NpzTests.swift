import Formats
import Tensor
import TestSupport
import Testing

@Suite struct NpzTests {
  static let tensors: [String: Tensor] = [
    "maps": Tensor((0..<600).map { Float($0 % 7) }, shape: [2, 300]),
    "ids": Tensor(scalars: [3, 1, 2] as [Int64]),
    "scalar": Tensor(2.5),
    "empty": Tensor(zeros: [0, 4]),
    "größe": Tensor(scalars: [true, false]),
  ]

  static func written(compressed: Bool) throws -> [UInt8] {
    try withFolder { folder in
      try NpzFile.write(tensors, to: folder + "/x.npz", compressed: compressed)
      return try FormatFixtures.contents(folder: folder, "x.npz")
    }
  }

  @Test(arguments: [false, true]) func whatIsWrittenIsRead(compressed: Bool) throws {
    let file = try NpzFile(MappedFile(contents: Self.written(compressed: compressed), name: "x.npz"))
    #expect(
      file.names == ["empty", "größe", "ids", "maps", "scalar"].sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    for (name, tensor) in Self.tensors {
      let found = try file.tensor(name)
      #expect(found.bytes == tensor.bytes && found.shape == tensor.shape && found.dtype == tensor.dtype, "\(name)")
    }
    #expect(throws: NpzError.self) { try file.tensor("other") }
  }

  @Test func deflateSavesSpace() throws {
    #expect(try Self.written(compressed: true).count < Self.written(compressed: false).count / 2)
  }

  @Test(arguments: ["savez.npz", "savez_compressed.npz", "data-descriptor.npz"])
  func archivesOfNumPyAreRead(_ name: String) throws {
    let file = try NpzFile(path: FormatFixtures.path("archives/\(name)"))
    #expect(file.names == ["a", "b.c", "fortran"])
    #expect(try file.tensor("a").floats == (0..<12).map { Float($0) / 4 })
    #expect(try file.tensor("b.c").scalars(as: Int64.self) == [1, -2, 3])
    #expect(try file.tensor("fortran").floats == [0, 1, 2, 3, 4, 5])
    #expect(try file.tensor("fortran").shape == [2, 3])
  }

  @Test(arguments: [false, true]) func everyTruncationIsRefused(compressed: Bool) throws {
    let bytes = try Self.written(compressed: compressed)
    expectEveryTruncationThrows(bytes, NpzError.self) { _ = try NpzFile($0) }
  }

  @Test(arguments: [false, true]) func everyChangedBitOfAnArrayIsNoticed(compressed: Bool) throws {
    let bytes = try withFolder { folder in
      try NpzFile.write(["a": Tensor([1, 2, 3, 4])], to: folder + "/x.npz", compressed: compressed)
      return try FormatFixtures.contents(folder: folder, "x.npz")
    }
    let data = 30 + 5 + 20..<bytes.count - 22 - 46 - 5
    let padding = compressed ? 7 : 0  // deflate ends on a bit, the rest of that byte means nothing
    for bit in data.lowerBound * 8..<data.upperBound * 8 - padding {
      var changed = bytes
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      let file = try NpzFile(MappedFile(contents: changed, name: "changed"))
      #expect(throws: NpzError.self, "bit \(bit)") { try file.tensor("a") }
    }
  }

  @Test(arguments: [false, true]) func bitFlipsAreHarmless(compressed: Bool) throws {
    let bytes = try Self.written(compressed: compressed)
    var refused = 0
    for bit in stride(from: 0, to: bytes.count * 8, by: 3) {
      var changed = bytes
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      do {
        let file = try NpzFile(MappedFile(contents: changed, name: "bit \(bit)"))
        for name in file.names { _ = try file.tensor(name).bytes }
      } catch is NpzError {
        refused += 1
      } catch is NpyError {
        refused += 1
      }
    }
    #expect(refused > 500)
  }

  @Test func hugeClaimsDoNotAllocate() throws {
    var bytes = try withFolder { folder in
      try NpzFile.write(["a": Tensor([1])], to: folder + "/x.npz", compressed: true)
      return try FormatFixtures.contents(folder: folder, "x.npz")
    }
    let size = bytes.count - 22 - (46 + 5) + 24
    bytes.replaceSubrange(size..<size + 4, with: [0, 0, 0, 0xF0])
    let error = #expect(throws: NpzError.self) {
      try NpzFile(MappedFile(contents: bytes, name: "bomb.npz")).tensor("a")
    }
    #expect(error?.description.contains("expected 4026531840") == true)
  }

  @Test func namesMustBeUniqueAndNotEmpty() throws {
    try withFolder { folder in
      var writer = try NpzWriter(path: folder + "/x.npz")
      try writer.write("a", Tensor(1))
      for name in ["a", ""] {
        do {
          try writer.write(name, Tensor(2))
          Issue.record("'\(name)' was accepted")
        } catch is NpzError {}
      }
    }
  }
}
