import Models
import NN
import Tensor

/// How the elements of a tensor bring a scalar from what it is at a baseline to what it is.
public struct IntegratedGradients: Sendable {
  /// The share of every element, of the tensor's shape.
  public let attribution: Tensor
  /// The scalar at the baseline and at the tensor itself.
  public let baseline, value: Float

  /// What the attribution should add up to and does not: of the sum over the path, which more steps make smaller.
  public var gap: Float { value - baseline - attribution.sum().item }
}

extension DenoiserPass {
  /// Integrated gradients: `(x - x₀) ∫ ∂scalar/∂x dα` along the line from a baseline to what is there. The elements' shares
  /// add up to the change of the scalar (completeness).
  ///
  /// Source: Sundararajan et al., arXiv 1703.01365 §3. The integral is a sum at the midpoints of equal steps.
  ///
  /// - Parameters:
  ///   - place: an input, or one site
  ///   - baseline: of its shape, or broadcast to it; zeros unless given
  ///   - steps: gradients taken
  /// - Throws: `GradientError`, `HookError`
  public func integratedGradients(
    of scalar: Scalar, at place: GradientPlace, from baseline: Tensor? = nil, steps: Int = 32,
    processors: [any AttentionProcessor] = []
  ) throws -> IntegratedGradients {
    guard steps > 0 else { throw GradientError.nothing("integrated gradients in \(steps) steps") }
    let line = try Line(self, place, processors), end = line.end
    let start = baseline ?? Tensor(zeros: [1])
    guard start.rank <= end.rank,
      zip(start.shape.reversed(), end.shape.reversed()).allSatisfy({ $0 == 1 || $0 == $1 })
    else {
      throw GradientError.badDerivative(place: "the baseline", found: start.shape, expected: end.shape)
    }
    let way = end - start
    var sum = Tensor(zeros: end.shape)
    for step in 0..<steps {
      let point = start + way * ((Float(step) + 0.5) / Float(steps))
      sum += try line.gradient(of: scalar, at: point)
    }
    return IntegratedGradients(
      attribution: sum * way / Float(steps), baseline: try line.value(of: scalar, at: (start + way * 0)),
      value: try line.value(of: scalar, at: end))
  }

  /// The same pass with another tensor at a place that is an input.
  ///
  /// - Returns: nil for sites
  func replacing(_ place: GradientPlace, by tensor: Tensor) -> DenoiserPass? {
    var pass = self
    switch place {
    case .latents: pass.latents = tensor
    case .promptEmbeddings: pass.prompts.states = tensor
    case .pooled: pass.prompts.pooled = tensor
    case .sites: return nil
    }
    return pass
  }

  /// The tensor at a place that is an input.
  func input(_ place: GradientPlace) -> Tensor? {
    switch place {
    case .latents: latents
    case .promptEmbeddings: prompts.states
    case .pooled: prompts.pooled
    case .sites: nil
    }
  }
}

extension PassGradient {
  /// At an input; nil for sites.
  func input(_ place: GradientPlace) -> Tensor? {
    switch place {
    case .latents: latents
    case .promptEmbeddings: promptEmbeddings
    case .pooled: pooled
    case .sites: nil
    }
  }
}

/// A pass whose tensor at one place is moved.
private struct Line {
  let pass: DenoiserPass
  let place: GradientPlace
  let processors: [any AttentionProcessor]
  /// What is there.
  let end: Tensor
  /// nil for an input.
  private let site: Site?

  init(_ pass: DenoiserPass, _ place: GradientPlace, _ processors: [any AttentionProcessor]) throws {
    (self.pass, self.place, self.processors) = (pass, place, processors)
    if case .sites(let pattern) = place {
      let found = try pass.tensors(at: [pattern], processors: processors)
      guard let first = found.first, found.count == 1 else {
        throw GradientError.noSuchPlace(pattern.text, reason: "is \(found.count) sites, expected one")
      }
      (site, end) = (first.key, first.value)
    } else {
      (site, end) = (nil, pass.input(place) ?? pass.latents)
    }
  }

  func value(of scalar: Scalar, at point: Tensor) throws -> Float {
    try (pass.replacing(place, by: point) ?? pass).value(of: scalar, processors: moving(to: point))
  }

  func gradient(of scalar: Scalar, at point: Tensor) throws -> Tensor {
    let moved = pass.replacing(place, by: point) ?? pass
    let gradient = try moved.gradient(of: scalar, at: [place], processors: moving(to: point))
    return site.flatMap { gradient.sites[$0] } ?? gradient.input(place) ?? Tensor(zeros: end.shape)
  }

  private func moving(to point: Tensor) -> [any AttentionProcessor] {
    processors + (site.map { [SiteValue($0, point)] } ?? [])
  }
}
