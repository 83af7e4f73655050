/// A decomposition that the numbers do not allow: which routine, which matrix of the batch, and what failed.
public struct LinearAlgebraError: Error, Equatable, CustomStringConvertible {
  public enum Reason: Sendable, Equatable {
    /// A NaN or an infinity at this place of the matrix.
    case notFinite(row: Int, column: Int)
    /// The factor `U` of `LU` is exactly zero at this place of its diagonal.
    case singular(pivot: Int)
    /// The leading minor of this order is not positive.
    case notPositiveDefinite(order: Int)
    /// The iteration did not converge.
    case notConverged
    case outOfMemory
  }

  public let routine: String
  /// Position of the matrix in the batch, leading axes flattened.
  public let matrix: Int
  public let reason: Reason

  public var description: String {
    let what =
      switch reason {
      case .notFinite(let row, let column): "the element at [\(row), \(column)] is not a finite number"
      case .singular(let pivot): "the matrix is singular (pivot \(pivot) is zero)"
      case .notPositiveDefinite(let order): "the matrix is not positive definite (leading minor of order \(order))"
      case .notConverged: "the iteration did not converge"
      case .outOfMemory: "not enough memory for the workspace"
      }
    return "\(routine): matrix \(matrix): \(what)"
  }
}
