import Formats
import Tensor

/// A picture whose pixels are numbers of labels: an 8-bit PNG, grey or with a palette.
struct LabelMask: Sendable {
  let height, width: Int
  /// Row-major, `height * width` of them.
  let labels: [UInt8]

  /// - Parameter labelCount: labels there are; a pixel of any other number is an error
  /// - Throws: `SceneSetError`
  init(path: String, labelCount: Int) throws {
    let pixels: Tensor, header: Header
    do {
      let file = try MappedFile(path: path)
      pixels = try PNG.read(file, options: ImageOptions(appliesOrientation: false)).pixels
      header = try file.withBytes { try Header($0, path: path) }
    } catch let error as SceneSetError {
      throw error
    } catch {
      throw SceneSetError(path, .badPicture("\(error)"))
    }
    height = pixels.shape[0]
    width = pixels.shape[1]
    guard header.bitDepth == 8, pixels.shape[2] == 1 || header.isPalette else {
      throw SceneSetError(path, .badMask("expected 8 bits of grey or a palette"))
    }
    let values = pixels.scalars(as: UInt8.self)
    labels = header.isPalette ? try header.numbers(values, channels: pixels.shape[2], labelCount, path) : values
    if let stray = labels.first(where: { $0 >= labelCount }) {
      throw SceneSetError(path, .badMask("found label \(stray), expected less than \(labelCount)"))
    }
  }
}

/// What the PNG reader expands and a mask needs back: the palette.
private struct Header {
  var bitDepth: UInt8
  var isPalette: Bool
  /// Red, green and blue in one number, by label.
  var palette: [UInt32] = []

  /// - Parameter bytes: of a file that has been decoded, so that its chunks are whole
  init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
    guard bytes.count > 33 else { throw SceneSetError(path, .badMask("the file ends too early")) }
    bitDepth = bytes[24]
    isPalette = bytes[25] == 3
    var position = 8
    while bytes.count - position >= 12 {
      let length = (0..<4).reduce(0) { $0 << 8 | Int(bytes[position + $1]) }
      guard length <= bytes.count - position - 12 else { return }
      let content = position + 8
      if bytes[position + 4..<content].elementsEqual("PLTE".utf8) {
        palette = stride(from: content, to: content + length - length % 3, by: 3).map {
          UInt32(bytes[$0]) << 16 | UInt32(bytes[$0 + 1]) << 8 | UInt32(bytes[$0 + 2])
        }
        return
      }
      position = content + length + 4
    }
  }

  /// The numbers in the palette of decoded colours.
  func numbers(_ values: [UInt8], channels: Int, _ labelCount: Int, _ path: String) throws -> [UInt8] {
    // Entries behind the labels are fill, often black: the labels' come first, and must differ.
    var numbers: [UInt32: UInt8] = [:]
    for (number, colour) in palette.prefix(256).enumerated() {
      if let other = numbers[colour] {
        guard number >= labelCount else {
          throw SceneSetError(path, .badMask("labels \(other) and \(number) have one colour"))
        }
      } else {
        numbers[colour] = UInt8(number)
      }
    }
    return try stride(from: 0, to: values.count, by: channels).map {
      let colour = UInt32(values[$0]) << 16 | UInt32(values[$0 + 1]) << 8 | UInt32(values[$0 + 2])
      guard let number = numbers[colour] else { throw SceneSetError(path, .badMask("a colour is not in the palette")) }
      return number
    }
  }
}
