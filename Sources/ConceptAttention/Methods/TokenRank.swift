import NN
import Tensor

/// Where attention goes in the long run: how much every image token is looked at by tokens that are looked at, in the mean
/// attention matrix of chosen blocks. One map, named `sink`, and one of where it comes from, `source`.
///
/// Power iteration on attention weights that are never in memory, block by block and pass by pass, then the mean.
///
/// Source: arXiv 2507.17657, §4.3.
public final class TokenRank: SaliencyMethod {
  public let blocks: [BlockPattern]
  /// The chain jumps anywhere with probability `1 - alpha`.
  public let alpha: Float
  public let passes: PassFilter
  private var accumulator = SaliencyAccumulator(keeping: [])
  /// What the next run begins with.
  private var earlier: SaliencyAccumulator?

  /// Steps at most, and the change (sum of absolute values) at which they end.
  private static let most = 200
  private static let enough: Float = 1e-6

  public init(in blocks: [BlockPattern], alpha: Float = 0.99, passes: PassFilter = .conditional) {
    self.blocks = blocks
    self.alpha = alpha
    self.passes = passes
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    guard alpha > 0, alpha < 1 else {
      throw HookError.refused(processor: name, reason: "alpha is \(alpha), expected between 0 and 1")
    }
    accumulator = earlier ?? SaliencyAccumulator(keeping: [])
    earlier = nil
    for block in blocks { hooks.observe(block, in: passes, add) }
  }

  public func maps() throws(SaliencyError) -> SaliencyMaps {
    try accumulator.maps(["sink", "source"], softmaxLast: false)
  }

  private func add(_ block: BlockView, _ pass: Pass) {
    guard let image = block.columns(of: .image, readBy: .image), let first = block.streams.first else { return }
    let batch = first.query.shape[0], tokens = block.jointStreams.reduce(0) { $0 + (block[$1]?.key.shape[2] ?? 0) }
    let uniform = Tensor(full: [batch, 1, tokens], 1 / Float(tokens)), jump = (1 - alpha) / Float(tokens)
    let matrix = block.jointMatrix
    let sink = limit(from: uniform) { matrix.chained($0) * alpha + jump }
    // Backwards, columns of the matrix with its jumps add up to 1.
    let mass = matrix.chained(Tensor(ones: uniform.shape)) * alpha + (1 - alpha)
    let source = limit(from: uniform) { state in
      let shares = state / mass
      return matrix.gathered(shares.transposed()).transposed() * alpha + shares.sum(-1, keepDims: true) * jump
    }
    let states = concatenated([sink, source], axis: 1)
    accumulator.add(
      SaliencyScores(together: states.narrow(2, from: image.lowerBound, count: image.count)), layer: block.id.layer,
      step: pass.step, grid: pass.grid)
  }

  private func limit(from start: Tensor, _ step: (Tensor) -> Tensor) -> Tensor {
    var state = start
    for _ in 0..<Self.most {
      let next = step(state), change = (next - state).absolute().sum(-1).amax().item
      state = next / next.sum(-1, keepDims: true)
      if change < Self.enough { break }
    }
    return state
  }
}

extension TokenRank: ResumableMethod {
  public var sums: [String: Tensor] { accumulator.sums }

  public func resume(from sums: [String: Tensor]) throws {
    earlier = try SaliencyAccumulator(keeping: [], sums)
  }
}
