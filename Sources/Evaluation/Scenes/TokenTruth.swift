import Models
import NN

/// What is where in every frame of a scene, to score maps of its tokens.
struct SceneTruth: Sendable {
  /// By frame, with the frame of the maps that shows it.
  private let frames: [(truth: TokenTruth, mapFrame: Int)]
  private let frameTokens: Int

  /// - Parameter mapFrames: the frame of the grid for each frame of the scene
  init(_ scene: SceneSet.Scene, grid: TokenGrid, mapFrames: [Int]) {
    frameTokens = grid.height * grid.width
    frames = mapFrames.enumerated().map { (TokenTruth(scene, frame: $0.offset, grid: grid), $0.element) }
  }

  /// The mean over the frames that have a value.
  ///
  /// - Parameter maps: values by concept, then token, frame after frame; compared over the concepts
  func score(_ maps: [[Float]], objects: Set<String>) -> [SceneMetric: Double] {
    var values: [SceneMetric: [Double]] = [:]
    for (truth, mapFrame) in frames {
      let tokens = mapFrame * frameTokens..<(mapFrame + 1) * frameTokens
      for (metric, value) in truth.score(maps.map { Array($0[tokens]) }, objects: objects) {
        values[metric, default: []].append(value)
      }
    }
    return values.mapValues { mean($0) }
  }
}

/// How many pixels of each concept every token of a frame covers, to score maps of tokens at the detail of pixels.
///
/// Scores are those of the map scaled up by nearest neighbour, without scaling it up.
struct TokenTruth: Sendable {
  let concepts: [String]
  /// Pixels of a token.
  let cellSize: Int
  /// By concept, then token; all 0 for a concept that is not in the frame.
  let hits: [[Int]]

  /// Concepts with fewer pixels are not scored: a map cannot be blamed for them.
  static let fewestPixels = 16

  init(_ scene: SceneSet.Scene, frame: Int, grid: TokenGrid) {
    concepts = scene.concepts
    let (height, width) = (scene.size.height, scene.size.width), labels = scene.labels[frame]
    let cellHeight = height / grid.height, cellWidth = width / grid.width
    cellSize = cellHeight * cellWidth
    let rows = Dictionary(zip(scene.concepts, 0...)) { first, _ in first }
    var hits = [[Int]](repeating: [Int](repeating: 0, count: grid.height * grid.width), count: concepts.count)
    let row = (0...255).map { scene.words[$0].flatMap { rows[$0] } }
    for y in 0..<height {
      for x in 0..<width {
        guard let concept = row[Int(labels[y * width + x])] else { continue }
        hits[concept][y / cellHeight * grid.width + x / cellWidth] += 1
      }
    }
    self.hits = hits
  }

  /// Scores of one frame's maps.
  ///
  /// - Parameters:
  ///   - maps: values by concept, then token; compared over the concepts
  ///   - objects: concepts scored once more on their own
  /// - Returns: no value for a metric that has nothing to be measured on
  func score(_ maps: [[Float]], objects: Set<String>) -> [SceneMetric: Double] {
    let labels = largest(maps)
    var values: [SceneMetric: [Double]] = [:]
    for (index, concept) in concepts.enumerated() {
      guard hits[index].reduce(0, +) >= Self.fewestPixels else { continue }
      let isObject = objects.contains(concept)
      func note(_ metric: SceneMetric, _ ofObjects: SceneMetric, _ value: Double) {
        values[metric, default: []].append(value)
        if isObject { values[ofObjects, default: []].append(value) }
      }
      note(.argmaxIoU, .objectArgmaxIoU, overlap(labels.map { $0 == index }, index))
      note(.meanIoU, .objectMeanIoU, overlap(aboveMean(maps[index]), index))
      note(
        .averagePrecision, .objectAveragePrecision,
        averagePrecision(cellScores: maps[index], hits: hits[index], cellSize: cellSize))
    }
    var scores = values.mapValues { mean($0) }
    let correct = labels.enumerated().reduce(0) { $0 + hits[$1.element][$1.offset] }
    scores[.accuracy] = Double(correct) / Double(labels.count * cellSize)
    return scores
  }

  /// The concept with the largest value, by token; of equal ones the first.
  private func largest(_ maps: [[Float]]) -> [Int] {
    guard let tokens = maps.first?.count else { return [] }
    return (0..<tokens).map { token in
      maps.indices.reduce(0) { maps[$1][token] > maps[$0][token] ? $1 : $0 }
    }
  }

  /// Intersection over union of chosen tokens with a concept's pixels.
  private func overlap(_ chosen: [Bool], _ concept: Int) -> Double {
    var covered = 0, found = 0
    for (token, isChosen) in chosen.enumerated() where isChosen {
      covered += cellSize
      found += hits[concept][token]
    }
    return Double(found) / Double(covered + hits[concept].reduce(0, +) - found)
  }
}
