import Artifacts
import ConceptAttention
import Tensor
import Testing

@Suite struct ColorMapTests {
  /// Entries of matplotlib 3.11, `colormaps[name](i, bytes=True)`.
  private static let samples: [(ColorMap, [UInt8], [UInt8], [UInt8])] = [
    (.viridis, [68, 1, 84], [32, 144, 140], [253, 231, 36]),
    (.plasma, [12, 7, 134], [203, 71, 119], [239, 248, 33]),
    (.inferno, [0, 0, 3], [187, 55, 84], [252, 254, 164]),
    (.magma, [0, 0, 3], [182, 54, 121], [251, 252, 191]),
    (.turbo, [48, 18, 59], [164, 252, 59], [122, 4, 2]),
    (.gray, [0, 0, 0], [128, 128, 128], [255, 255, 255]),
  ]

  @Test(arguments: samples)
  func hasTheColoursOfMatplotlib(_ map: ColorMap, first: [UInt8], middle: [UInt8], last: [UInt8]) {
    let colors = map.colors
    #expect(colors.count == 768)
    #expect(Array(colors[..<3]) == first)
    #expect(Array(colors[384..<387]) == middle)
    #expect(Array(colors[765...]) == last)
  }

  @Test(arguments: [ColorMap.viridis, .plasma, .inferno, .magma, .gray]) func growsLighter(_ map: ColorMap) {
    let colors = map.colors.map(Double.init)
    let luminance: [Double] = stride(from: 0, to: 768, by: 3).map { entry in
      let (red, green, blue) = (colors[entry], colors[entry + 1], colors[entry + 2])
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
    // Entries are whole numbers: a step may lose up to one level to rounding.
    for (darker, lighter) in zip(luminance, luminance.dropFirst()) { #expect(lighter > darker - 1) }
    #expect(luminance[255] > luminance[0] + 100)
  }

  @Test func cutsTheRangeIntoEqualParts() {
    let map = Tensor([-1, 0, 0.5, 1, 2, .nan], shape: [2, 3])
    let colored = ColorMap.gray(map, range: 0...1)
    #expect(colored.shape == [2, 3, 3])
    let levels: [UInt8] = [0, 0, 128, 255, 255, 0]
    #expect(colored.scalars(as: UInt8.self) == levels.flatMap { [$0, $0, $0] })
    #expect(ColorMap.gray(map, range: 1...1).scalars(as: UInt8.self).allSatisfy { $0 == 0 })
  }

  @Test func aSheetIsNearlySquareAndItsCellsAreOfReadableSize() {
    let layout = ContactSheet.Layout(cells: 5, height: 1024, width: 2048, hasTitle: true)
    #expect((layout.columns, layout.rows) == (3, 2))
    #expect((layout.cellHeight, layout.cellWidth) == (256, 512))
    #expect(layout.width == 3 * 512 + 4 * 16)
    for cells in [1, 64, 65, 500, 2000] {
      let layout = ContactSheet.Layout(cells: cells, height: 4000, width: 4000, hasTitle: false)
      #expect(cells > 64 ? layout.cellHeight < 512 : layout.cellHeight == 512)
      #expect(layout.cellHeight >= 96 && layout.cellHeight * layout.cellWidth * cells <= max(1 << 24, 96 * 96 * cells))
    }
    let tiny = ContactSheet.Layout(cells: 1, height: 1, width: 64, hasTitle: false)
    #expect((tiny.cellHeight, tiny.cellWidth) == (4, 256))

    let picture = Tensor(full: [64, 64, 3], 200, dtype: .u8)
    let cells = ["picture", "a concept whose name is much too long for its cell", "家"].map {
      ContactSheet.Cell(picture, caption: $0)
    }
    let sheet = ContactSheet(title: "title", cells: cells)
    let expected = ContactSheet.Layout(cells: 3, height: 64, width: 64, hasTitle: true)
    #expect(sheet.rendered().shape == [expected.height, expected.width, 3])
    #expect(ContactSheet(title: "", cells: []).rendered().rank == 3)
  }
}
