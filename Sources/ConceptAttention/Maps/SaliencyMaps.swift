import NN
import Tensor

public enum SaliencyError: Error, Equatable, CustomStringConvertible {
  case nothingRecorded
  /// Tensors to go on with, of which one is missing or of another kind.
  case notSums(String)

  public var description: String {
    switch self {
    case .notSums(let name): "sums of an earlier run: '\(name)' is missing or of another kind"
    case .nothingRecorded: "no saliency map: none of the chosen layers and steps has run"
    }
  }
}

/// A head of a layer.
public struct LayerAndHead: Hashable, Comparable, Sendable {
  public let layer, head: Int

  public init(_ layer: Int, _ head: Int) {
    self.layer = layer
    self.head = head
  }

  public static func < (a: LayerAndHead, b: LayerAndHead) -> Bool { (a.layer, a.head) < (b.layer, b.head) }
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
  public var byLayerAndHead: [LayerAndHead: Tensor] = [:]

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

  /// All maps under their names in files: `average`, then `layer.N`, `step.N`, `head.N` and `layer.N.head.M` by number.
  public var named: [(name: String, map: Tensor)] {
    [("average", average)]
      + [("layer", byLayer), ("step", byStep), ("head", byHead)].flatMap { kind, maps in
        maps.sorted { $0.key < $1.key }.map { ("\(kind).\($0.key)", $0.value) }
      }
      + byLayerAndHead.sorted { $0.key < $1.key }.map { ("layer.\($0.key.layer).head.\($0.key.head)", $0.value) }
  }

  /// Every map changed in the same way.
  ///
  /// - Parameters:
  ///   - concepts: of the new maps, where they are of other concepts
  ///   - grid: of the new maps, where it is another
  public func mapValues(
    concepts: [String]? = nil, grid: TokenGrid? = nil, _ transform: (Tensor) -> Tensor
  ) -> SaliencyMaps {
    var maps = SaliencyMaps(
      concepts: concepts ?? self.concepts, grid: grid ?? self.grid, average: transform(average))
    maps.byLayer = byLayer.mapValues(transform)
    maps.byStep = byStep.mapValues(transform)
    maps.byHead = byHead.mapValues(transform)
    maps.byLayerAndHead = byLayerAndHead.mapValues(transform)
    return maps
  }

  /// The means over the frames: one map for a whole video, as the paper has them.
  public func averagedOverFrames() -> SaliencyMaps {
    if grid.frames == 1 { return self }
    return mapValues(grid: TokenGrid(height: grid.height, width: grid.width)) { $0.mean(2, keepDims: true) }
  }

  /// One concept's map of one picture, `[frames, height, width]`; nil for a concept that was not asked for.
  public func map(_ concept: String, picture: Int = 0) -> Tensor? {
    concepts.firstIndex(of: concept).map { average[picture, $0] }
  }

  public subscript(_ concept: String) -> Tensor? { map(concept) }
}
