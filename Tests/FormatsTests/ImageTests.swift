import Formats
import Tensor
import TestSupport
import Testing

@Suite struct ImageReadingTests {
  static let folder = FormatFixtures.path("images")
  static let files: [String] = ((try? FormatFixtures.list(folder)) ?? []).filter { !$0.hasSuffix(".safetensors") }
  static let expected = try? SafetensorsFile(path: folder + "/expected.safetensors")

  @Test func everyFormIsThere() {
    #expect(Self.files.count >= 50)
    #expect(Self.files.allSatisfy { Self.expected?.contains($0) == true })
  }

  @Test(arguments: files) func samplesAreThoseOfTheFile(_ name: String) throws {
    let path = Self.folder + "/" + name
    let pixels = try name.hasSuffix(".png") ? PNG.read(path: path).pixels : JPEG.read(path: path)
    let expected = try #require(Self.expected).tensor(name)
    #expect(pixels.dtype == expected.dtype && pixels.shape == expected.shape)
    let isEqual = pixels.bytes == expected.bytes  // a variable, to keep the bytes out of a failure's text
    #expect(isEqual)
  }

  @Test(arguments: files) func convenienceReaderGivesPillowsRGB(_ name: String) throws {
    let rgb = try Image.read(path: Self.folder + "/" + name)
    #expect(rgb.dtype == .u8 && rgb.rank == 3 && rgb.shape[2] == 3)
    if let expected = Self.expected?[name + ".rgb"] {
      expectClose(rgb, expected, Tolerance(absolute: 0))
    } else {
      let gray = try #require(Self.expected).tensor(name).scalars(as: UInt16.self)
      let channels = try #require(Self.expected?.entry(name)).shape[2]
      let upper = stride(from: 0, to: gray.count, by: channels).flatMap {
        [UInt8](repeating: UInt8(gray[$0] >> 8), count: 3)
      }
      #expect(rgb.bytes == upper)
    }
  }

  @Test func orientationIsAppliedUnlessAskedNotTo() throws {
    let path = Self.folder + "/orientation-6.jpg"
    #expect(try JPEG.read(path: path).shape == [24, 16, 3])
    #expect(try JPEG.read(path: path, options: ImageOptions(appliesOrientation: false)).shape == [16, 24, 3])
  }

  @Test func textsOfEveryKindAreRead() throws {
    let path = Self.folder + "/texts.png"
    let picture = try PNG.read(path: path)
    let inFront = [
      PNG.Text("Title", "café"), PNG.Text("Comment", String(repeating: "squeezed ", count: 9)),
      PNG.Text("prompt", "星 ★"), PNG.Text("packed", "üü"),
    ]
    #expect(picture.texts == inFront + [PNG.Text("Late", "behind the pixels")])
    #expect(picture.text("prompt") == "星 ★" && picture.text("none") == nil)
    #expect(try PNG.texts(path: path) == inFront)
  }

  @Test func formatIsToldByContentNotByName() throws {
    try withFolder { folder in
      try FormatFixtures.write(FormatFixtures.contents("images/gray.jpg"), to: folder + "/picture.png")
      #expect(try Image.read(path: folder + "/picture.png").shape == [40, 56, 3])
      try FormatFixtures.write(Array("GIF89a".utf8), to: folder + "/picture.jpg")
      let error = #expect(throws: ImageError.self) { try Image.read(path: folder + "/picture.jpg") }
      #expect(error?.description == "picture \(folder)/picture.jpg: expected a PNG or JPEG file, found neither")
    }
  }

  @Test(arguments: ["rgb-8.png", "baseline-420.jpg"]) func sizeLimitComesBeforeDecoding(_ name: String) throws {
    let error = #expect(throws: ImageError.self) {
      try Image.read(path: Self.folder + "/" + name, options: ImageOptions(maximumPixels: 100))
    }
    #expect(error?.description.contains("expected at most 100 in total") == true)
  }

  @Test func hugeDimensionsOfSmallFilesAreRefused() throws {
    var png = try FormatFixtures.contents("images/rgb-8.png")
    png.replaceSubrange(16..<24, with: [0, 0, 0x3F, 0xFF, 0, 0, 0x3F, 0xFF])
    png.replaceSubrange(29..<33, with: Self.checksum(png[12..<29]))
    var jpeg = try FormatFixtures.contents("images/baseline-444.jpg")
    let frame = try #require(jpeg.indices.first { jpeg[$0...].starts(with: [0xFF, 0xC0]) })
    jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0x3F, 0xFF, 0x3F, 0xFF])
    for bytes in [png, jpeg] {
      let error = #expect(throws: ImageError.self) { try Image.read(MappedFile(contents: bytes, name: "small")) }
      #expect(error?.problem == .tooShort(width: 0x3FFF, height: 0x3FFF, bytes: bytes.count))
    }
  }

  @Test func widthOfABillionIsRefusedAtOnce() throws {
    var png = try FormatFixtures.contents("images/gray-16.png")
    png.replaceSubrange(16..<20, with: [0x44, 0, 0, 0x0D])
    png.replaceSubrange(29..<33, with: Self.checksum(png[12..<29]))
    let error = #expect(throws: ImageError.self) { try Image.read(MappedFile(contents: png, name: "wide")) }
    #expect(error?.problem == .tooLarge(width: 0x4400_000D, height: 9, limit: 1 << 28))
  }

  private static func checksum(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var value: UInt32 = .max
    for byte in bytes {
      value ^= UInt32(byte)
      for _ in 0..<8 { value = value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return withUnsafeBytes(of: (~value).bigEndian) { Array($0) }
  }

  @Test(
    arguments: files.filter {
      $0.contains("rgb-8") || $0.contains("palette-4") || $0.hasPrefix("gray-16") || $0 == "texts.png"
    })
  func everyTruncatedPNGIsRefused(_ name: String) throws {
    expectEveryTruncationThrows(try FormatFixtures.contents("images/\(name)"), ImageError.self) {
      _ = try Image.read($0)
    }
  }

  @Test(arguments: ["baseline-420.jpg", "progressive.jpg", "cmyk.jpg", "gray.jpg", "restart.jpg"])
  func everyTruncatedJPEGIsRefused(_ name: String) throws {
    let bytes = try FormatFixtures.contents("images/\(name)")
    expectEveryTruncationThrows(bytes, ImageError.self) { _ = try Image.read($0) }
  }

  @Test(arguments: ["rgba-16-interlaced.png", "palette-2-transparent.png", "texts.png", "progressive.jpg", "ycck.jpg"])
  func bitFlipsAreHarmless(_ name: String) throws {
    let options = ImageOptions(maximumPixels: 1 << 20)
    let bytes = try FormatFixtures.contents("images/\(name)")
    let refused = expectBitFlipsAreHarmless(bytes, ImageError.self, step: 5) {
      _ = try Image.read($0, options: options)
    }
    #expect(refused > 50)
  }
}

@Suite struct PNGWritingTests {
  @Test(arguments: [1, 2, 3, 4], [DType.u8, .u16]) func whatIsWrittenIsRead(channels: Int, dtype: DType) throws {
    let count = 5 * 7 * channels
    let values = (0..<count).map { UInt16(truncatingIfNeeded: $0 * 2731) }
    let pixels =
      dtype == .u16
      ? Tensor(scalars: values, shape: [5, 7, channels])
      : Tensor(scalars: values.map { UInt8(truncatingIfNeeded: $0) }, shape: [5, 7, channels])
    let texts = [PNG.Text("prompt", "a star, ★"), PNG.Text("Software", "test"), PNG.Text("empty", "")]
    try withFolder { folder in
      try PNG.write(pixels, to: folder + "/x.png", texts: texts)
      let found = try PNG.read(path: folder + "/x.png")
      #expect(found.pixels.bytes == pixels.bytes && found.pixels.shape == pixels.shape && found.pixels.dtype == dtype)
      #expect(found.texts == texts)
      #expect(try FormatFixtures.list(folder) == ["x.png"])
    }
  }

  @Test func viewsAndMatricesAreWritten() throws {
    let gray = Tensor(scalars: [1, 2, 3, 4, 5, 6] as [UInt8], shape: [2, 3]).transposed()
    let bytes = try PNG.encode(gray)
    let found = try PNG.read(MappedFile(contents: bytes, name: "x")).pixels
    #expect(found.shape == [3, 2, 1] && found.bytes == [1, 4, 2, 5, 3, 6])
  }

  @Test func whatIsNoPictureIsRefused() {
    for tensor in [
      Tensor(zeros: [2, 2, 3]), Tensor(zeros: [2, 2, 5], dtype: .u8), Tensor(zeros: [0, 2, 3], dtype: .u8),
      Tensor(zeros: [4], dtype: .u8),
    ] {
      #expect(throws: ImageError.self) { try PNG.encode(tensor) }
    }
    for keyword in ["", " a", "a ", "a  b", "★", "a\nb", String(repeating: "k", count: 80)] {
      #expect(throws: ImageError.self, "\(keyword)") {
        try PNG.encode(Tensor(zeros: [1, 1], dtype: .u8), texts: [PNG.Text(keyword, "x")])
      }
    }
    #expect(throws: FileError.self) { try PNG.write(Tensor(zeros: [1, 1], dtype: .u8), to: "/dev/null/x.png") }
  }
}
