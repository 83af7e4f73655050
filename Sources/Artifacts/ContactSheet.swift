// Many pictures on one: a grid of cells with captions.

import Tensor

/// A sheet that shows pictures of equal size side by side, each with a caption and a second line below it.
public struct ContactSheet {
  public struct Cell: Sendable {
    /// `u8`, `[height, width, 3]`
    public var picture: Tensor
    public var caption: String
    public var detail: String

    public init(_ picture: Tensor, caption: String, detail: String = "") {
      self.picture = picture
      self.caption = caption
      self.detail = detail
    }
  }

  public var title: String
  public var cells: [Cell]
  /// Cells beside each other; nil for about as many as below each other.
  public var columns: Int?

  static let margin = 16
  /// Of all cells together, and the longer side of a cell that letters can still be read below of.
  static let mostPixels = 1 << 24, leastSide = 96
  static let letterScale = 2
  static let detailScale = 1
  private static let background: [UInt8] = [18, 18, 22]

  public init(title: String, cells: [Cell], columns: Int? = nil) {
    self.title = title
    self.columns = columns
    self.cells = cells
  }

  /// Where things go, in pixels.
  package struct Layout: Equatable {
    package var columns, rows, cellHeight, cellWidth, captionHeight, titleHeight: Int

    /// - Parameter height: of a picture; its longer side is brought between 256 and 512 pixels, or fewer where cells are so
    ///   many that a sheet of such would be too large to hold or to look at
    package init(cells: Int, height: Int, width: Int, hasTitle: Bool, columns: Int? = nil) {
      let columns = columns ?? max(1, Int(Double(cells).squareRoot().rounded(.up)))
      self.columns = columns
      rows = max(1, (cells + columns - 1) / columns)
      let longest = max(height, width, 1)
      let most = (Double(ContactSheet.mostPixels) / Double(max(cells, 1))).squareRoot()
      let target = min(max(longest, 256), max(ContactSheet.leastSide, min(512, Int(most))))
      cellHeight = max(1, height * target / longest)
      cellWidth = max(1, width * target / longest)
      captionHeight = BitmapFont.glyphHeight * (letterScale + detailScale) + 14
      titleHeight = hasTitle ? BitmapFont.glyphHeight * letterScale + margin : 0
    }

    package var width: Int { columns * (cellWidth + margin) + margin }
    package var height: Int { titleHeight + rows * (cellHeight + captionHeight + margin) + margin }

    func origin(_ index: Int) -> (y: Int, x: Int) {
      (
        titleHeight + margin + index / columns * (cellHeight + captionHeight + margin),
        margin + index % columns * (cellWidth + margin)
      )
    }
  }

  /// - Returns: `u8`, `[height, width, 3]`
  public func rendered() -> Tensor {
    let shape = cells.first?.picture.shape ?? [1, 1, 3]
    let layout = Layout(
      cells: cells.count, height: shape[0], width: shape[1], hasTitle: !title.isEmpty, columns: columns)
    var canvas = Canvas(height: layout.height, width: layout.width, color: Self.background)
    let titleWidth = layout.width - 2 * Self.margin
    canvas.draw(title, y: Self.margin, x: Self.margin, width: titleWidth, scale: Self.letterScale, level: 255)
    for (index, cell) in cells.enumerated() {
      let (y, x) = layout.origin(index)
      let size = (layout.cellHeight, layout.cellWidth)
      let isSmall = (cell.picture.shape[0], cell.picture.shape[1]) == size
      canvas.draw(
        isSmall ? cell.picture : cell.picture.resizedImage(height: size.0, width: size.1, filter: .bicubic), y: y, x: x)
      let captionY = y + layout.cellHeight + 6
      canvas.draw(cell.caption, y: captionY, x: x, width: layout.cellWidth, scale: Self.letterScale, level: 235)
      let detailY = captionY + BitmapFont.glyphHeight * Self.letterScale + 4
      canvas.draw(cell.detail, y: detailY, x: x, width: layout.cellWidth, scale: Self.detailScale, level: 160)
    }
    return canvas.picture
  }
}

/// Pixels to draw on.
struct Canvas {
  let height, width: Int
  private var bytes: [UInt8]

  init(height: Int, width: Int, color: [UInt8]) {
    self.height = height
    self.width = width
    bytes = [UInt8](unsafeUninitializedCapacity: height * width * 3) { target, count in
      for index in 0..<height * width * 3 { target[index] = color[index % 3] }
      count = height * width * 3
    }
  }

  /// `u8`, `[height, width, 3]`
  var picture: Tensor { Tensor(scalars: bytes, shape: [height, width, 3]) }

  /// - Parameter picture: `u8`, `[height, width, 3]`, within the canvas
  mutating func draw(_ picture: Tensor, y: Int, x: Int) {
    let source = picture.scalars(as: UInt8.self)
    let rowBytes = picture.shape[1] * 3
    for row in 0..<picture.shape[0] {
      let start = ((y + row) * width + x) * 3
      bytes.replaceSubrange(start..<start + rowBytes, with: source[row * rowBytes..<(row + 1) * rowBytes])
    }
  }

  /// Draws one line; what does not fit in `width` pixels is cut and ends with dots.
  mutating func draw(_ text: String, y: Int, x: Int, width: Int, scale: Int, level: UInt8) {
    let room = max(0, (width + scale) / (BitmapFont.advance * scale))
    let dots = String(repeating: ".", count: min(3, room))
    let shown = text.count <= room ? text : text.prefix(max(0, room - 3)) + dots
    for (index, character) in shown.enumerated() {
      let left = x + index * BitmapFont.advance * scale
      for (column, dots) in BitmapFont.columns(character).enumerated() {
        for row in 0..<BitmapFont.glyphHeight where dots >> row & 1 == 1 {
          fill(y: y + row * scale, x: left + column * scale, size: scale, level: level)
        }
      }
    }
  }

  private mutating func fill(y: Int, x: Int, size: Int, level: UInt8) {
    for row in max(0, y)..<max(0, min(height, y + size)) {
      for column in max(0, x)..<max(0, min(width, x + size)) {
        let start = (row * width + column) * 3
        for channel in 0..<3 { bytes[start + channel] = level }
      }
    }
  }
}
