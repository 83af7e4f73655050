import Models
import NN
import Tensor

/// Changes an input of a pass so that a scalar falls: a prompt embedding that makes a concept's map larger, latents that the
/// model takes for something else. Weights stay as they are.
///
/// ```swift
/// var descent = try InputDescent(pass, changing: .promptEmbeddings, rate: 0.05)
/// for _ in 0..<20 { try descent.step(loss) }
/// descent.pass.prompts.states                      // for GenerationRequest.encodedPrompts
/// ```
///
/// Source: the steps are Adam's, Kingma & Ba, arXiv 1412.6980 §2.
public struct InputDescent {
  /// With the input as it is now.
  public private(set) var pass: DenoiserPass
  /// Which input: `latents`, `promptEmbeddings` or `pooled`.
  public let place: GradientPlace
  /// The size of a step, in the units of the input.
  public var rate: Float
  /// The scalar before every step so far.
  public private(set) var losses: [Float] = []

  private var mean, meanSquare: Tensor?

  /// - Throws: `GradientError.noSuchPlace` for sites, which every pass makes anew
  public init(_ pass: DenoiserPass, changing place: GradientPlace, rate: Float) throws(GradientError) {
    guard pass.input(place) != nil else { throw .noSuchPlace("\(place)", reason: "is no input of a pass") }
    (self.pass, self.place, self.rate) = (pass, place, rate)
  }

  /// One step against the gradient.
  ///
  /// - Throws: `GradientError`, `HookError`
  public mutating func step(_ loss: Scalar, processors: [any AttentionProcessor] = []) throws {
    let gradient = try pass.gradient(of: loss, at: [place], processors: processors)
    guard let slope = gradient.input(place), let input = pass.input(place) else { return }
    losses.append(gradient.value)
    let count = Float(losses.count), first: Float = 0.9, second: Float = 0.999
    let mean = (self.mean ?? Tensor(zeros: slope.shape)) * first + slope * (1 - first)
    let square = (meanSquare ?? Tensor(zeros: slope.shape)) * second + slope.squared() * (1 - second)
    (self.mean, meanSquare) = (mean, square)
    let unbiased = mean / (1 - Tensor(first).power(count).item)
    let scale = (square / (1 - Tensor(second).power(count).item)).squareRoot() + 1e-8
    pass = pass.replacing(place, by: input - unbiased / scale * rate) ?? pass
  }
}
