import Glibc
import Tensor

/// Cosines and sines by which queries and keys are rotated, pair by pair of neighbouring channels.
///
/// Source: RoFormer, arXiv 2104.09864; diffusers `apply_rotary_emb` with `use_real_unbind_dim` -1.
public struct RotaryTable: Sendable {
  /// `[tokens, headDim]`, every value twice, once per channel of a pair.
  public var cos, sin: Tensor

  public init(cos: Tensor, sin: Tensor) {
    self.cos = cos
    self.sin = sin
  }

  /// - Parameter x: `[batch, heads, tokens, headDim]`
  public func rotate(_ x: Tensor) -> Tensor { x.applyingRotary(cos: cos, sin: sin) }

  /// What `rotate` was given, from what it returned.
  ///
  /// - Parameter x: `[batch, heads, tokens, headDim]`
  public func unrotate(_ x: Tensor) -> Tensor { x.applyingRotary(cos: cos, sin: sin * -1) }

  /// The rows of some of the tokens.
  public func narrow(from start: Int, count: Int) -> RotaryTable {
    RotaryTable(cos: cos.narrow(0, from: start, count: count), sin: sin.narrow(0, from: start, count: count))
  }

  /// FLUX: each axis of the position ids turns its own share of the channels.
  ///
  /// Source: diffusers `FluxPosEmbed`, which computes in double precision.
  ///
  /// - Parameters:
  ///   - ids: `[tokens, axes]`
  ///   - axes: channels per axis, adding up to `headDim`
  public static func flux(ids: Tensor, axes: [Int], theta: Double = 10000) -> RotaryTable {
    guard ids.rank == 2, ids.shape[1] == axes.count else {
      tensorFailure("RotaryTable.flux: ids of shape \(ids.shape) for \(axes.count) axes")
    }
    let positions = ids.floats
    var cosines: [Float] = [], sines: [Float] = []
    for token in 0..<ids.shape[0] {
      for (axis, channels) in axes.enumerated() {
        for pair in 0..<channels / 2 {
          let frequency = 1 / pow(theta, Double(2 * pair) / Double(channels))
          let angle = Double(positions[token * axes.count + axis]) * frequency
          cosines += [Float](repeating: Float(Glibc.cos(angle)), count: 2)
          sines += [Float](repeating: Float(Glibc.sin(angle)), count: 2)
        }
      }
    }
    let shape = [ids.shape[0], axes.reduce(0, +)]
    return RotaryTable(cos: Tensor(cosines, shape: shape), sin: Tensor(sines, shape: shape))
  }
}

extension Tensor {
  /// Queries or keys taken from the positions of one table to those of another; nil is the origin.
  func rotated(from old: RotaryTable?, to new: RotaryTable?) -> Tensor {
    let plain = old.map { $0.unrotate(self) } ?? self
    return new.map { $0.rotate(plain) } ?? plain
  }
}
