import Tensor

/// Saliency maps of single objects against binary masks, as ConceptAttention's authors score zero-shot segmentation.
///
/// A pixel is foreground where the map is above its mean. Accuracy and intersection over union come from counts over
/// all pictures, of background and foreground together; average precision is that of each picture, with the map scaled
/// to 0 … 1 as the score of the foreground and its complement as that of the background.
///
/// Source: arXiv 2502.04320 §5.1.
public struct BinarySegmentation: Sendable {
  /// Over background (0) and foreground (1).
  public private(set) var counts = ClassCounts(classes: 2)
  /// Average precision of each picture.
  public private(set) var averagePrecisions: [Double] = []

  public init() {}

  public var meanAveragePrecision: Double { mean(averagePrecisions) }

  /// Adds a picture.
  ///
  /// - Parameters:
  ///   - map: `[height, width]`, of any size: scaled up to the mask by nearest neighbour
  ///   - mask: `[height, width]`; not zero where the object is
  /// - Returns: the foreground found, `u8`, of the mask's shape
  @discardableResult
  public mutating func add(map: Tensor, mask: Tensor) -> Tensor {
    guard map.rank == 2, mask.rank == 2, map.count > 0, mask.count > 0 else {
      tensorFailure("BinarySegmentation: a map of shape \(map.shape) and a mask of shape \(mask.shape)")
    }
    let values = map.floats
    let source = nearestCells(map.shape, mask.shape)
    let cells = aboveMean(values).map { $0 ? 1 : 0 }, scores = scaledToUnit(values)
    let found = source.map { cells[$0] }, score = source.map { scores[$0] }
    let truth = mask.floats.map { $0 == 0 ? 0 : 1 }
    // Background and foreground are two pictures of one pair of classes, as in the authors' code.
    counts += ClassCounts(
      predicted: found.map { 1 - $0 } + found, target: truth.map { 1 - $0 } + truth, classes: 2)
    averagePrecisions.append(averagePrecision(classScores: score.map { 1 - $0 } + score, target: truth))
    return Tensor(scalars: found.map(UInt8.init), shape: mask.shape)
  }

  /// For each pixel of the larger picture the cell of the map under it.
  private func nearestCells(_ map: [Int], _ mask: [Int]) -> [Int] {
    func nearest(_ axis: Int) -> [Int] { (0..<mask[axis]).map { $0 * map[axis] / mask[axis] } }
    let columns = nearest(1)
    return nearest(0).flatMap { row in columns.map { row * map[1] + $0 } }
  }

  /// A constant map has nothing to scale: it is 0.
  private func scaledToUnit(_ values: [Float]) -> [Float] {
    guard let low = values.min(), let high = values.max(), high > low else { return values.map { _ in 0 } }
    return values.map { ($0 - low) / (high - low) }
  }
}
