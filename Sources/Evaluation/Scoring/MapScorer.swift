/// How maps are scored. What is not said here is fixed: maps are scaled to the mask bilinearly.
public struct ScoringRules: Sendable, Equatable, Codable {
  /// A pixel is background where its largest softmax over the concepts is below this.
  public var threshold = 0.35
  /// The side of the square that labels are brought to by nearest neighbour, as Pillow has it; nil to leave them as they are.
  public var labelSize: Int?

  public init() {}
}

/// Scores the maps of one picture against its mask.
///
/// A concept that has the name of a class stands for that class; any other one for background, or, in a data set without
/// background, for no class, which is always wrong. Void pixels are left out of every count.
struct MapScorer {
  let classes: SegmentationClasses
  let rules: ScoringRules
  /// Further names of classes, such as "plane" for "aeroplane".
  let aliases: [String: Int]
  private let rows: [String: Int]

  init(_ classes: SegmentationClasses, rules: ScoringRules, names: ClassNames = ClassNames()) {
    self.classes = classes
    self.rules = rules
    rows = classes.rows
    aliases = Dictionary(
      classes.names.enumerated().map { (names.concept(of: $1), $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// - Parameter found: the predicted class of every pixel, -2 for no class, is handed to it
  func scores(
    _ maps: ConceptMaps, _ example: SegmentationExample, sequence: String? = nil,
    found: (([Int16]) -> Void)? = nil
  ) -> PictureScores {
    let example = rules.labelSize.map { example.labels(resizedTo: $0) } ?? example
    let concepts = maps.concepts.map { example.aliases[$0] ?? rows[$0] ?? aliases[$0] }
    let columns = concepts.map { $0 ?? classes.background }
    let resized = ResizedMaps(maps, height: example.height, width: example.width)
    let (best, isSure) = resized.largest(threshold: classes.background == nil ? nil : rules.threshold)
    var scores = PictureScores(
      id: example.id, sequence: sequence, height: example.height, width: example.width, concepts: maps.concepts,
      argmax: ClassCounts(classes: classes.count))
    count(best, isSure, example.labels, columns, &scores)
    found?(best.map { columns[Int($0)].map(Int16.init) ?? -2 })
    let present = Set(example.present)
    for (index, row) in concepts.enumerated() {
      guard let row, row != classes.background, present.contains(row) else { continue }
      let target = example.labels.map { $0 < 0 ? Int8(-1) : Int($0) == row ? 1 : 0 }
      var binary = binary(resized.plane(of: index), target, maps.concepts[index], example)
      binary.authors = AuthorsProtocol.scores(maps, index, target, height: example.height, width: example.width)
      scores.binary.append(binary)
    }
    return scores
  }

  /// Counts pixels by truth and largest concept at once, and then by class.
  private func count(
    _ best: [UInt16], _ isSure: [Bool], _ labels: [Int16], _ columns: [Int?], _ scores: inout PictureScores
  ) {
    let width = columns.count
    // A cell for every true class (the first for void) and largest concept, sure and unsure.
    var table = [Int](repeating: 0, count: (classes.count + 1) * width * 2)
    for (pixel, label) in labels.enumerated() {
      let unsure = isSure.isEmpty || isSure[pixel] ? 0 : 1
      table[((Int(label) + 1) * width + Int(best[pixel])) * 2 + unsure] += 1
    }
    var thresholded = classes.background == nil ? nil : ClassCounts(classes: classes.count)
    for row in 0..<classes.count {
      for (column, found) in columns.enumerated() {
        let cell = ((row + 1) * width + column) * 2
        scores.argmax.add(table[cell] + table[cell + 1], predicted: found ?? -2, truth: row)
        thresholded?.add(table[cell], predicted: found ?? -2, truth: row)
        thresholded?.add(table[cell + 1], predicted: classes.background ?? -2, truth: row)
      }
    }
    scores.thresholded = thresholded
  }

  private func binary(
    _ plane: [Double], _ target: [Int8], _ concept: String, _ example: SegmentationExample
  ) -> BinaryScores {
    // NumPy adds up planes that were scaled in this way column by column.
    let isAbove = aboveMean(plane, columnsOf: example.width)
    var counts = BinaryCounts(), ranked: [Double] = [], positives: [UInt8] = []
    ranked.reserveCapacity(plane.count)
    positives.reserveCapacity(plane.count)
    for (pixel, truth) in target.enumerated() where truth >= 0 {
      counts.add(truth: truth > 0, found: isAbove[pixel])
      ranked.append(plane[pixel])
      positives.append(UInt8(truth))
    }
    return BinaryScores(
      concept: concept, counts: counts, averagePrecision: averagePrecision(ranking: ranked, positives: positives))
  }
}

/// Which values of a plane lie above the mean of all, as NumPy has it to the bit: where many values are alike, the last bit
/// of the mean decides.
///
/// - Parameter columnsOf: the width of the plane when its values are to be added up column by column; nil for row by row
func aboveMean(_ values: [Double], columnsOf width: Int? = nil) -> [Bool] {
  let sum = pairwiseSum(width.map { transposed(values, width: $0) } ?? values), mean = sum / Double(values.count)
  return values.map { $0 > mean }
}

/// A plane column by column, in blocks that stay in the cache.
private func transposed(_ plane: [Double], width: Int) -> [Double] {
  let height = plane.count / max(width, 1), side = 16
  return [Double](unsafeUninitializedCapacity: plane.count) { target, count in
    plane.withUnsafeBufferPointer { source in
      for top in stride(from: 0, to: height, by: side) {
        for left in stride(from: 0, to: width, by: side) {
          for x in left..<min(left + side, width) {
            for y in top..<min(top + side, height) { target[x * height + y] = source[y * width + x] }
          }
        }
      }
    }
    count = plane.count
  }
}

/// NumPy's pairwise sum: eight running sums in blocks of at most 128, halves added up.
///
/// Source: numpy `pairwise_sum` in `loops_utils.h.src`.
func pairwiseSum(_ values: [Double]) -> Double {
  values.withUnsafeBufferPointer { pairwiseSum($0[...]) }
}

private func pairwiseSum(_ values: Slice<UnsafeBufferPointer<Double>>) -> Double {
  let start = values.startIndex, count = values.count
  if count < 8 { return values.reduce(0, +) }
  if count > 128 {
    let half = count / 2 - count / 2 % 8
    return pairwiseSum(values[start..<start + half]) + pairwiseSum(values[(start + half)...])
  }
  var sums = SIMD8<Double>()
  let whole = count - count % 8
  for place in stride(from: 0, to: whole, by: 8) {
    for lane in 0..<8 { sums[lane] += values[start + place + lane] }
  }
  let first = (sums[0] + sums[1]) + (sums[2] + sums[3]), second = (sums[4] + sums[5]) + (sums[6] + sums[7])
  return values[(start + whole)...].reduce(first + second, +)
}

/// The rules of the authors' ImageNet-Segmentation script, rounding included: foreground is above the mean of the small
/// map, everything is brought to 224 × 224 by nearest neighbour (PyTorch's for maps, Pillow's for masks), and average
/// precision is over the map scaled to 0 … 1 and its complement at once.
///
/// Source: helblazer811/ConceptAttention `experiments/imagenet_segmentation`.
enum AuthorsProtocol {
  static let size = 224

  static func scores(
    _ maps: ConceptMaps, _ concept: Int, _ target: [Int8], height: Int, width: Int
  ) -> BinaryScores.Authors? {
    let truth = nearest(
      pillowCells(height, size: size), pillowCells(width, size: size), rowLength: width
    ).map { target[$0] }
    guard truth.contains(1) else { return nil }
    let map = Array(maps.value(concept))
    let cells = nearest(cells(maps.height), cells(maps.width), rowLength: maps.width)
    let isAbove = aboveMean(map, columnsOf: maps.isColumnMajor ? maps.width : nil),
      scaled = scaledToUnit(map.map(Float.init))
    var counts = BinaryCounts(), scores: [Double] = [], positives: [UInt8] = []
    for (cell, truth) in zip(cells, truth) where truth >= 0 { counts.add(truth: truth > 0, found: isAbove[cell]) }
    for isForeground in [false, true] {
      for (cell, truth) in zip(cells, truth) where truth >= 0 {
        // A constant map scores 0 in both channels.
        scores.append(Double(scaled.map { isForeground ? $0[cell] : 1 - $0[cell] } ?? 0))
        positives.append((truth > 0) == isForeground ? 1 : 0)
      }
    }
    return BinaryScores.Authors(
      counts: counts, averagePrecision: averagePrecision(ranking: scores, positives: positives))
  }

  private static func scaledToUnit(_ map: [Float]) -> [Float]? {
    guard let low = map.min(), let high = map.max(), high - low > 0 else { return nil }
    return map.map { ($0 - low) / (high - low) }
  }

  private static func nearest(_ rows: [Int], _ columns: [Int], rowLength: Int) -> [Int] {
    rows.flatMap { row in columns.map { row * rowLength + $0 } }
  }

  /// PyTorch's: rounded down.
  private static func cells(_ count: Int) -> [Int] { (0..<size).map { min($0 * count / size, count - 1) } }
}

/// The cell of an axis that each of `size` places falls into by Pillow's nearest neighbour: steps are added up, which
/// decides where halves fall.
func pillowCells(_ count: Int, size: Int) -> [Int] {
  let step = Double(count) / Double(size)
  var place = step * 0.5
  return (0..<size).map { _ in
    defer { place += step }
    return min(Int(place), count - 1)
  }
}
