import Formats
import Tensor

/// The numbers of a mask's pixels, as stored: palette indices, grey levels or alpha, never colours.
struct LabelPicture {
  let height, width: Int
  /// Row-major.
  let numbers: [UInt16]

  init(height: Int, width: Int, numbers: [UInt16]) {
    self.height = height
    self.width = width
    self.numbers = numbers
  }

  /// - Parameter takesAlpha: whether a picture with alpha is a mask by its alpha
  /// - Throws: `DatasetProblem`, for a picture of colours too
  init(_ path: String, in folder: DatasetFolder, takesAlpha: Bool = false) throws {
    let full = try folder.file(path)
    let samples: PNG.Samples
    do { samples = try PNG.readSamples(path: full) } catch { throw folder.problem(path, error) }
    let channels = samples.values.shape[2]
    var channel = 0
    switch samples.colorType {
    case .grey, .palette: break
    case .greyAlpha where takesAlpha, .rgba where takesAlpha: channel = channels - 1
    default: throw DatasetProblem(path, "expected numbers, grey or with a palette, found a picture of colours")
    }
    height = samples.values.shape[0]
    width = samples.values.shape[1]
    let plane = channels == 1 ? samples.values : samples.values.narrow(2, from: channel, count: 1)
    numbers =
      plane.dtype == .u16 ? plane.scalars(as: UInt16.self) : plane.scalars(as: UInt8.self).map(UInt16.init)
  }

  /// - Throws: `DatasetProblem` naming the mask when the picture has another size
  func check(_ picture: Tensor, _ path: String) throws {
    guard picture.shape[0] == height, picture.shape[1] == width else {
      let other = "\(picture.shape[1]) x \(picture.shape[0])"
      throw DatasetProblem(path, "\(width) x \(height) pixels, but its picture has \(other)")
    }
  }
}

/// What the numbers of a mask mean.
struct LabelNumbering: Sendable {
  private static let unknown: Int16 = -2
  /// By number: a row of the classes, void, or unknown.
  private var rows = [Int16](repeating: unknown, count: 1 << 16)

  /// - Parameters:
  ///   - numbers: those that are classes, with the row of the class
  ///   - void: those that are known to be none
  init(_ numbers: [Int: Int16], void: some Sequence<Int> = []) {
    for number in void where rows.indices.contains(number) { rows[number] = SegmentationExample.void }
    for (number, row) in numbers where rows.indices.contains(number) { rows[number] = row }
  }

  /// The numbers of all classes.
  init(_ classes: SegmentationClasses, void: some Sequence<Int> = []) {
    self.init(Dictionary(zip(classes.numbers, 0..<Int16.max)) { $1 }, void: void)
  }

  /// Rows of classes by pixel. Numbers that mean nothing become void, with a warning that names them.
  func labels(_ mask: LabelPicture, _ path: String, _ warnings: inout [String]) -> [Int16] {
    var strays: Set<UInt16> = [], hasClass = false
    let labels = mask.numbers.map { number in
      let row = rows[Int(number)]
      if row >= 0 { hasClass = true }
      guard row == Self.unknown else { return row }
      strays.insert(number)
      return SegmentationExample.void
    }
    if !strays.isEmpty {
      let found = strays.sorted().map(String.init).joined(separator: ", ")
      warnings.append("\(path): no class has the number \(found); these pixels are left out")
    }
    if !hasClass { warnings.append("\(path): no pixel has a class, so the picture has no score") }
    return labels
  }
}
