import Tensor

/// An attention matrix taken as a Markov chain: a token hands its weight on to those it looks at.
///
/// Source: arXiv 2507.17657.
public struct MarkovChain: Sendable {
  /// Rows add up to 1, `[…, tokens, tokens]`.
  public let transition: Tensor

  /// - Parameter transition: `[…, tokens, tokens]`, square, rows adding up to 1
  public init(_ transition: Tensor) {
    guard transition.rank >= 2, transition.shape[transition.rank - 1] == transition.shape[transition.rank - 2] else {
      tensorFailure("MarkovChain: transition of shape \(transition.shape) is not square")
    }
    self.transition = transition
  }

  /// The chain that now and then jumps anywhere: `α A + (1 - α) / tokens`.
  public func teleporting(_ alpha: Float) -> MarkovChain {
    MarkovChain(transition * alpha + (1 - alpha) / Float(transition.shape[transition.rank - 1]))
  }

  /// The chain run backwards: from a token to those that look at it, columns scaled to a sum of 1.
  public var reversed: MarkovChain {
    MarkovChain((transition / transition.sum(-2, keepDims: true)).transposed())
  }

  /// One step: `state A`.
  ///
  /// - Parameter state: `[…, tokens]`
  public func step(_ state: Tensor) -> Tensor {
    Tensor.matmul(state.unsqueezed(-2), transition).squeezed(-2)
  }

  /// The states after 1, 2, … steps, each scaled to a sum of 1 before the next, `[count, …, tokens]`.
  public func bounces(from state: Tensor, count: Int) -> Tensor {
    var state = state
    return stacked(
      (0..<count).map { _ in
        state = step(state / state.sum(-1, keepDims: true))
        return state
      })
  }

  /// The state that a step does not change, adding up to 1, `[…, tokens]`: how much every token is looked at in the long run
  /// (TokenRank). The linear system is solved in `f64`.
  ///
  /// - Throws: `LinearAlgebraError` for a chain with several such states; one that teleports has one
  public func stationary() throws -> Tensor {
    let count = transition.shape[transition.rank - 1], leading = Array(transition.shape.dropLast(2))
    let matrix = Tensor(identity: count, dtype: .f64) - transition.converted(to: .f64).transposed()
    let total = Tensor(ones: leading + [1, count], dtype: .f64)
    let system = concatenated([matrix.narrow(-2, from: 0, count: count - 1), total], axis: -2)
    let right = concatenated(
      [Tensor(zeros: leading + [count - 1, 1], dtype: .f64), Tensor(ones: leading + [1, 1], dtype: .f64)], axis: -2)
    return try system.solve(right).squeezed(-1).converted(to: .f32)
  }

  /// The second largest absolute value among the eigenvalues, `[…]`: how slowly the chain forgets where it started, and so how
  /// much structure a head's attention has.
  public func secondEigenvalue() throws -> Tensor {
    try transition.converted(to: .f64).eigenvalues().moduli.select(-1, 1).converted(to: .f32)
  }
}
