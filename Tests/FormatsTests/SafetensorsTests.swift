import Formats
import Foundation
import Tensor
import TestSupport
import Testing

@Suite struct SafetensorsReadingTests {
  /// A file with the given header and as many bytes of data.
  static func file(_ header: String, data: Int = 0) -> MappedFile {
    let text = Array(header.utf8)
    let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
    return MappedFile(
      contents: length + text + (0..<data).map { UInt8(truncatingIfNeeded: $0) }, name: "test.safetensors")
  }

  @Test func tensorsAreViewsOnTheMapping() throws {
    let file = try SafetensorsFile(path: FormatFixtures.path("formats/safetensors-all-dtypes/file.safetensors"))
    for name in file.names {
      let tensor = try file.tensor(name)
      #expect(tensor.isMapped, "\(name)")
      #expect(tensor.shape == file.entry(name)?.shape)
    }
  }

  @Test func tensorOutlivesItsFile() throws {
    let tensor = try {
      try SafetensorsFile(Self.file(#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#, data: 3)).tensor("a")
    }()
    #expect(tensor.scalars(as: UInt8.self) == [0, 1, 2])
  }

  @Test func unalignedElementsAreRead() throws {
    let header =
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U32","shape":[2],"data_offsets":[1,9]}}"#
    let tensor = try SafetensorsFile(Self.file(header, data: 9)).tensor("b")
    #expect(tensor.scalars(as: UInt32.self) == [0x0403_0201, 0x0807_0605])
  }

  @Test func everyNonzeroByteIsTrue() throws {
    let file = Self.file(#"{"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#, data: 4)
    #expect(try SafetensorsFile(file).tensor("a").bytes == [0, 1, 1, 1])
  }

  @Test func escapesInNamesAreResolved() throws {
    let header = #"{"a\u00e9\ud83d\ude00\n\/":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}"#
    #expect(try SafetensorsFile(Self.file(header, data: 1)).names == ["aé😀\n/"])
  }

  @Test func unknownMembersOfAnEntryAreSkipped() throws {
    let header = #"{"a":{"x":[{"y":[1.5e-3,null,true,{}]},[],"]"],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
    #expect(try SafetensorsFile(Self.file(header, data: 1)).names == ["a"])
  }

  @Test func missingTensorIsNamedWithSimilarOnes() throws {
    let file = try SafetensorsFile(
      Self.file(#"{"x.proj.weight":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: 1))
    let error = #expect(throws: SafetensorsError.self) { try file.tensor("y.proj.weight") }
    #expect(error?.description.contains("no tensor 'y.proj.weight'; there are 'x.proj.weight'") == true)
    #expect(file["y"] == nil)
  }

  @Test(arguments: ["F4", "F8_E8M0", "C64"])
  func typesWithoutATensorCounterpartAreNamed(_ type: String) throws {
    let size = type == "F4" ? 4 : type == "C64" ? 64 : 8
    let file = try SafetensorsFile(
      Self.file(#"{"a":{"dtype":"\#(type)","shape":[8],"data_offsets":[0,\#(size)]}}"#, data: size))
    let error = #expect(throws: SafetensorsError.self) { try file.tensor("a") }
    #expect(error?.problem == .unsupportedDType(tensor: "a", dtype: type))
  }

  @Test func everyTruncationIsRefused() throws {
    let bytes = try FormatFixtures.contents("formats/safetensors-unusual-layout/file.safetensors")
    expectEveryTruncationThrows(bytes, SafetensorsError.self) { _ = try SafetensorsFile($0) }
  }

  @Test func bitFlipsInTheHeaderAreHarmless() throws {
    let bytes = try FormatFixtures.contents("formats/safetensors-unusual-layout/file.safetensors")
    let refused = expectBitFlipsAreHarmless(bytes, SafetensorsError.self) { mapped in
      let file = try SafetensorsFile(mapped)
      for name in file.names { _ = try file.tensor(name).bytes }
    }
    #expect(refused > 500)
  }

  @Test func everyEntryOfALargeHeaderIsFound() throws {
    let entries = (0..<20_000).map {
      #""blocks.\#($0).attn.to_q.weight":{"dtype":"BF16","shape":[1,1],"data_offsets":[\#($0 * 2),\#($0 * 2 + 2)]}"#
    }
    let file = try SafetensorsFile(Self.file("{\(entries.joined(separator: ","))}", data: 40_000))
    #expect(Set(file.names) == Set((0..<20_000).map { "blocks.\($0).attn.to_q.weight" }))
    for index in [0, 9_999, 19_999] {
      #expect(try file.tensor("blocks.\(index).attn.to_q.weight").shape == [1, 1])
    }
  }

  @Test func missingFileIsNamed() {
    let error = #expect(throws: FileError.self) { try SafetensorsFile(path: "/nowhere/model.safetensors") }
    #expect(error?.description == "cannot open /nowhere/model.safetensors: No such file or directory")
    #expect(throws: FileError.self) { try SafetensorsFile(path: "/") }
  }
}

@Suite struct SafetensorsWritingTests {
  static let tensors: [String: Tensor] = [
    "b": Tensor(scalars: [1, 2, 3] as [UInt8]),
    "weight": Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]),
    "half": Tensor([0.5, -2]).converted(to: .bf16),
    "a \"quoted\"\n\u{1}é": Tensor(scalars: [7] as [Int64], shape: []),
    "empty": Tensor(zeros: [0, 3]),
  ]

  @Test func whatIsWrittenIsRead() throws {
    try withFolder { folder in
      try SafetensorsFile.write(Self.tensors, to: folder + "/t.safetensors", metadata: ["format": "pt", "ä": "\\"])
      let file = try SafetensorsFile(path: folder + "/t.safetensors")
      #expect(file.metadata == ["format": "pt", "ä": "\\"])
      #expect(file.names == ["a \"quoted\"\n\u{1}é", "empty", "weight", "half", "b"])
      for (name, tensor) in Self.tensors {
        let found = try file.tensor(name)
        #expect(found.bytes == tensor.bytes && found.shape == tensor.shape && found.dtype == tensor.dtype, "\(name)")
      }
      #expect(try #require(file.entry("weight")).range.lowerBound % 8 == 0)
      #expect(try FormatFixtures.list(folder) == ["t.safetensors"])
    }
  }

  @Test func viewsAreWrittenInRowMajorOrder() throws {
    try withFolder { folder in
      let matrix = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]).transposed()
      try SafetensorsFile.write(["t": matrix], to: folder + "/t.safetensors")
      #expect(try SafetensorsFile(path: folder + "/t.safetensors").tensor("t").floats == [1, 4, 2, 5, 3, 6])
    }
  }

  @Test func replacingAFileLeavesItsReadersAlone() throws {
    try withFolder { folder in
      let path = folder + "/t.safetensors"
      try SafetensorsFile.write(["t": Tensor([1, 2])], to: path)
      let old = try SafetensorsFile(path: path).tensor("t")
      try SafetensorsFile.write(["t": Tensor([3, 4])], to: path, synchronised: true)
      #expect(old.floats == [1, 2])
      #expect(try SafetensorsFile(path: path).tensor("t").floats == [3, 4])
    }
  }

  @Test func anUnfinishedFileLeavesNothing() throws {
    try withFolder { folder in
      do {
        let writer = try SafetensorsWriter(
          path: folder + "/t.safetensors", [.init("a", .f32, [2]), .init("b", .f32, [2])])
        try writer.write("a", Tensor([1, 2]))
        #expect(throws: SafetensorsError.self) { try writer.write("b", Tensor([1, 2, 3])) }
        #expect(throws: SafetensorsError.self) { try writer.finish() }
      }
      #expect(try FormatFixtures.list(folder).isEmpty)
    }
  }

  @Test func namesMustBeUnique() throws {
    try withFolder { folder in
      for names in [["a", "a"], ["__metadata__", "b"]] {
        #expect(throws: SafetensorsError.self) {
          try SafetensorsWriter(path: folder + "/t.safetensors", names.map { .init($0, .f32, [1]) })
        }
      }
    }
  }
}

@Suite struct ShardedSafetensorsTests {
  /// Two shards with one tensor each, and the given index.
  func open(_ weightMap: String, in folder: String) throws -> ShardedSafetensors {
    try SafetensorsFile.write(["a": Tensor([1, 2])], to: folder + "/m-1.safetensors")
    try SafetensorsFile.write(["b": Tensor([3])], to: folder + "/m-2.safetensors")
    let index = #"{"metadata": {"total_size": 12}, "weight_map": \#(weightMap)}"#
    try FormatFixtures.write(Array(index.utf8), to: folder + "/m.safetensors.index.json")
    return try ShardedSafetensors(indexPath: folder + "/m.safetensors.index.json")
  }

  @Test func tensorsComeFromTheirShards() throws {
    try withFolder { folder in
      let files = try open(#"{"b": "m-2.safetensors", "a": "m-1.safetensors"}"#, in: folder)
      #expect(files.names == ["a", "b"])
      #expect(try files.tensor("a").floats == [1, 2] && files.tensor("b").floats == [3])
      #expect(throws: SafetensorsError.self) { try files.tensor("c") }
    }
  }

  @Test(arguments: [
    (#"{"a": "m-1.safetensors", "b": "m-3.safetensors"}"#, "shard 'm-3.safetensors': cannot open"),
    (#"{"a": "m-1.safetensors", "b": "m-1.safetensors"}"#, "tensor 'b': expected in shard 'm-1.safetensors'"),
    (#"{"a": "m-1.safetensors", "x": "m-2.safetensors"}"#, "tensor 'x': expected in shard 'm-2.safetensors'"),
    (
      #"{"a": "m-1.safetensors", "b": "../m-2.safetensors"}"#, "shard '../m-2.safetensors': expected a file name inside"
    ),
    (#"{"a": "m-1.safetensors", "a": "m-2.safetensors"}"#, "'a' occurs twice"),
    (#"{"a": 1}"#, "expected a file name for 'a'"),
    (#"[]"#, "expected an object as weight_map"),
  ])
  func disagreementIsNamed(_ weightMap: String, _ text: String) throws {
    try withFolder { folder in
      let error = #expect(throws: SafetensorsError.self) { try open(weightMap, in: folder) }
      #expect(error?.description.contains(text) == true, "\(String(describing: error))")
    }
  }
}
