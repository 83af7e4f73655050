import NN
import Tensor

public enum SaliencyError: Error, Equatable, CustomStringConvertible {
  case nothingRecorded

  public var description: String {
    switch self {
    case .nothingRecorded: "no saliency map: none of the chosen layers and steps has run"
    }
  }
}

/// Maps of a run, by concept.
public struct SaliencyMaps: Sendable {
  public let concepts: [String]
  public let grid: TokenGrid
  /// The average, `[batch, concepts, frames, height, width]`.
  public var average: Tensor
  /// Kept ones, each of the same shape, by layer, step or head.
  public var byLayer: [Int: Tensor] = [:]
  public var byStep: [Int: Tensor] = [:]
  public var byHead: [Int: Tensor] = [:]

  /// Maps from elsewhere, such as a file.
  ///
  /// - Parameter average: `[batch, concepts, frames, height, width]`
  public init(concepts: [String], grid: TokenGrid, average: Tensor) {
    guard average.rank == 5, Array(average.shape[1...]) == [concepts.count, grid.frames, grid.height, grid.width] else {
      tensorFailure("SaliencyMaps: average of shape \(average.shape) for \(concepts.count) concepts on \(grid)")
    }
    self.concepts = concepts
    self.grid = grid
    self.average = average
  }

  /// One concept's map of one picture, `[frames, height, width]`; nil for a concept that was not asked for.
  public func map(_ concept: String, picture: Int = 0) -> Tensor? {
    concepts.firstIndex(of: concept).map { average[picture, $0] }
  }

  public subscript(_ concept: String) -> Tensor? { map(concept) }
}

/// Running means of scores: overall and, where asked for, by layer, step and head.
struct SaliencyAccumulator {
  private struct Mean {
    var sum: Tensor?
    var count = 0

    mutating func add(_ tensor: Tensor) {
      sum = sum.map { $0 + tensor } ?? tensor
      count += 1
    }

    var value: Tensor? { sum.map { $0 / Float(count) } }
  }

  let keeping: Set<KeptMaps>
  private var grid: TokenGrid?
  private var overall = Mean(), heads = Mean()
  private var layers: [Int: Mean] = [:], steps: [Int: Mean] = [:]

  init(keeping: Set<KeptMaps>) { self.keeping = keeping }

  /// - Parameter scores: `[batch, concepts, tokens]`, and per head `[batch, heads, concepts, tokens]`
  mutating func add(_ scores: [HeadSelection: Tensor], layer: Int, step: Int, grid: TokenGrid) {
    self.grid = grid
    if let together = scores[.together] {
      overall.add(together)
      if keeping.contains(.layers) { layers[layer, default: Mean()].add(together) }
      if keeping.contains(.steps) { steps[step, default: Mean()].add(together) }
    }
    if let apart = scores[.apart] { heads.add(apart) }
  }

  func maps(_ concepts: [String], softmaxLast: Bool) throws(SaliencyError) -> SaliencyMaps {
    guard let grid, let average = overall.value else { throw .nothingRecorded }
    func finish(_ scores: Tensor) -> Tensor {
      (softmaxLast ? scores.softmax(-2) : scores).unflattened(-1, grid.frames, grid.height, grid.width)
    }
    var maps = SaliencyMaps(concepts: concepts, grid: grid, average: finish(average))
    maps.byLayer = layers.compactMapValues { $0.value.map(finish) }
    maps.byStep = steps.compactMapValues { $0.value.map(finish) }
    if let scores = heads.value {
      for head in 0..<scores.shape[1] { maps.byHead[head] = finish(scores[.all, head]) }
    }
    return maps
  }
}
