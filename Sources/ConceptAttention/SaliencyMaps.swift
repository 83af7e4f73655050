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
