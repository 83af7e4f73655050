import Tensor

/// A public or private set of pictures or videos whose pixels have classes: one file each behind this type.
///
/// A data set opens when there is anything to score; what is wrong with a single picture is told when it is asked for,
/// so that one bad file does not end a run.
public protocol SegmentationDataset: Sendable {
  var classes: SegmentationClasses { get }
  /// Pictures, faulty ones included.
  var count: Int { get }
  /// What was found odd while opening, without any picture being lost by it.
  var warnings: [String] { get }
  /// Names a picture for good: in files of maps and results.
  func id(_ index: Int) -> String
  /// The video that a picture is a frame of; frames of one follow each other. Nil for pictures.
  func sequence(_ index: Int) -> String?
  /// - Throws: `DatasetProblem` when the picture or its mask cannot be used
  func example(_ index: Int) throws -> SegmentationExample
}

extension SegmentationDataset {
  public func sequence(_ index: Int) -> String? { nil }

  /// Neighbouring frames as one example, for models of videos.
  ///
  /// - Throws: `DatasetProblem` when a frame cannot be used, or their sizes differ
  public func clip(_ indices: Range<Int>) throws -> SegmentationExample {
    let parts = try indices.map(example)
    guard var whole = parts.first else { throw DatasetProblem("clip", "no frames") }
    if let odd = parts.first(where: { $0.frames.shape != whole.frames.shape }) {
      throw DatasetProblem(odd.id, "frames of one video differ in size")
    }
    whole.frames = concatenated(parts.map(\.frames), axis: 0)
    whole.labels = parts.flatMap(\.labels)
    whole.warnings = parts.flatMap(\.warnings)
    return whole
  }
}

/// A picture, or a few frames, with the class of every pixel.
public struct SegmentationExample: Sendable {
  public let id: String
  /// `u8`, `[frames, height, width, 3]`, as stored: an orientation in Exif data is not applied.
  public internal(set) var frames: Tensor
  /// Of every pixel, row-major `[frames, height, width]`: a row of the data set's classes, or `void`.
  public internal(set) var labels: [Int16]
  /// Further names of classes, for this example alone: what ImageNet calls the foreground of one picture.
  public internal(set) var aliases: [String: Int] = [:]
  /// What was found odd without making the example useless.
  public internal(set) var warnings: [String] = []
  /// What the data set says the model is to be told; nil where a protocol decides.
  public internal(set) var prompt: String?
  /// Concepts the data set asks for; nil where a protocol decides.
  public internal(set) var concepts: [String]?
  /// The seed of the noise the data set asks for.
  public internal(set) var noiseSeed: UInt64?

  /// The label of a pixel that is left out of every count.
  public static let void: Int16 = -1

  /// Of the labels, and, unless a protocol has resized these, of the frames.
  public internal(set) var height, width: Int

  package init(id: String, picture: Tensor, labels: [Int16]) {
    self.id = id
    frames = picture.rank == 3 ? picture.unsqueezed(0) : picture
    self.labels = labels
    height = frames.shape[1]
    width = frames.shape[2]
  }

  /// The labels of a picture at `side` × `side`, by Pillow's nearest neighbour.
  package func labels(resizedTo side: Int) -> SegmentationExample {
    var result = self
    let rows = pillowCells(height, size: side), columns = pillowCells(width, size: side)
    result.labels = (0..<frames.shape[0]).flatMap { frame in
      rows.flatMap { row in columns.map { labels[(frame * height + row) * width + $0] } }
    }
    (result.height, result.width) = (side, side)
    return result
  }

  /// Rows of the classes that occur.
  public var present: [Int] {
    var seen: Set<Int16> = []
    var last: Int16 = -1
    for label in labels where label != last {
      last = label
      if label >= 0 { seen.insert(label) }
    }
    return seen.map(Int.init).sorted()
  }
}

/// The classes of a data set, by number.
public struct SegmentationClasses: Sendable, Equatable {
  public let names: [String]
  /// The number a class has in the data set's files.
  public let numbers: [Int]
  /// The row of what is none of the other classes; nil where a data set has no such class.
  public let background: Int?

  /// - Parameter background: the number of the background class
  public init(_ names: [Int: String], background: Int? = nil) {
    let ordered = names.keys.sorted()
    numbers = ordered
    self.names = ordered.map { names[$0] ?? "" }
    self.background = background.flatMap { ordered.firstIndex(of: $0) }
  }

  public var count: Int { names.count }

  /// More than any data set has; tables of classes by concepts stay small.
  static let most = 1 << 12

  /// - Throws: `DatasetProblem` for more classes than can be scored
  static func check(_ count: Int, _ path: String) throws {
    if count > most { throw DatasetProblem(path, "\(count) classes, expected at most \(most)") }
  }

  /// Rows by name; of equal names the last, as a dictionary would have it.
  public var rows: [String: Int] { Dictionary(zip(names, 0...)) { $1 } }

  /// Rows by number.
  func row(of number: Int) -> Int16? { numbers.firstIndex(of: number).map(Int16.init) }
}

/// Something wrong with a data set or one of its pictures: the file, relative to the data set's folder, and what.
public struct DatasetProblem: Error, Equatable, CustomStringConvertible {
  public let path: String
  public let reason: String

  public init(_ path: String, _ reason: String) {
    self.path = path
    self.reason = reason
  }

  public var description: String { "\(path): \(reason)" }
}
