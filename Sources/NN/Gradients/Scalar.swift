import Tensor

/// A function of one tensor with one number as its result, and its derivative.
public struct ScalarHead {
  public let value: (Tensor) -> Float
  /// Of the tensor's shape.
  public let derivative: (Tensor) -> Tensor

  public init(value: @escaping (Tensor) -> Float, derivative: @escaping (Tensor) -> Tensor) {
    self.value = value
    self.derivative = derivative
  }

  /// The sum of all elements.
  public static var sum: ScalarHead {
    ScalarHead(value: { $0.sum().item }, derivative: { Tensor(ones: $0.shape) })
  }

  public static var mean: ScalarHead {
    ScalarHead(
      value: { $0.mean().item }, derivative: { Tensor(full: $0.shape, 1 / Float(max(1, $0.count))) })
  }

  /// The sum of all squares.
  public static var squaredNorm: ScalarHead {
    ScalarHead(value: { $0.squared().sum().item }, derivative: { $0 * 2 })
  }

  /// The sum of the products with the elements of a direction, which broadcasts to the tensor's shape.
  public static func dot(_ direction: Tensor) -> ScalarHead {
    ScalarHead(value: { ($0 * direction).sum().item }, derivative: { direction.broadcast(to: $0.shape).contiguous() })
  }

  /// The mean of the squared differences from a target, which broadcasts to the tensor's shape.
  public static func squaredError(to target: Tensor) -> ScalarHead {
    ScalarHead(
      value: { ($0 - target).squared().mean().item },
      derivative: { ($0 - target) * (2 / Float(max(1, $0.count))) })
  }

  /// The mean cross-entropy of a softmax over classes with the given distributions: how far logits are from a labelling.
  ///
  /// - Parameters:
  ///   - target: the wanted probability of every class, of the tensor's shape or broadcast to it; one-hot for labels
  ///   - axis: of the classes
  public static func softmaxCrossEntropy(with target: Tensor, axis: Int) -> ScalarHead {
    func cases(_ logits: Tensor) -> Float { Float(max(1, logits.count / max(1, logits.shape[place(logits)]))) }
    func place(_ logits: Tensor) -> Int { axis < 0 ? logits.rank + axis : axis }
    return ScalarHead(
      value: { -($0.logSoftmax(axis) * target).sum().item / cases($0) },
      derivative: {
        let target = target.broadcast(to: $0.shape)
        return ($0.softmax(axis) * target.sum([axis], keepDims: true) - target) / cases($0)
      })
  }
}

/// What a gradient is taken of: a number that depends on the model's output or on tensors at sites.
///
/// ```swift
/// .output(.dot(direction))
/// .site("double.14.image.attentionOutput", .squaredNorm)
/// .output(.squaredError(to: target)) + 0.1 * .site("double.*.text.residualOutput", .mean)
/// ```
public struct Scalar {
  /// What it is computed from.
  public struct Readings {
    /// The model's output; nil where the scalar does not depend on it.
    public var output: Tensor?
    /// Every site that the scalar's patterns select.
    public var sites: [Site: Tensor]

    public init(output: Tensor? = nil, sites: [Site: Tensor] = [:]) {
      self.output = output
      self.sites = sites
    }
  }

  public let dependsOnOutput: Bool
  public let patterns: [SitePattern]
  public let value: (Readings) -> Float
  /// With respect to every reading; those left out have a derivative of zero.
  public let derivative: (Readings) -> Readings

  /// Any function, with a derivative of its own.
  ///
  /// - Parameter patterns: the sites it depends on
  public init(
    dependsOnOutput: Bool, sites patterns: [SitePattern], value: @escaping (Readings) -> Float,
    derivative: @escaping (Readings) -> Readings
  ) {
    self.dependsOnOutput = dependsOnOutput
    self.patterns = patterns
    self.value = value
    self.derivative = derivative
  }

  /// Of the model's output: the velocity, or the noise.
  public static func output(_ head: ScalarHead) -> Scalar {
    Scalar(
      dependsOnOutput: true, sites: [], value: { $0.output.map(head.value) ?? 0 },
      derivative: { Readings(output: $0.output.map(head.derivative)) })
  }

  /// Of the tensor at a site; the sum over all sites that the pattern selects.
  public static func site(_ pattern: SitePattern, _ head: ScalarHead) -> Scalar {
    func own(_ readings: Readings) -> [Site: Tensor] { readings.sites.filter { pattern.matches($0.key) } }
    return Scalar(
      dependsOnOutput: false, sites: [pattern],
      value: { own($0).sorted { "\($0.key)" < "\($1.key)" }.reduce(0) { $0 + head.value($1.value) } },
      derivative: { Readings(sites: own($0).mapValues(head.derivative)) })
  }

  public static func + (a: Scalar, b: Scalar) -> Scalar {
    Scalar(
      dependsOnOutput: a.dependsOnOutput || b.dependsOnOutput, sites: a.patterns + b.patterns,
      value: { a.value($0) + b.value($0) },
      derivative: {
        let first = a.derivative($0), second = b.derivative($0)
        return Readings(
          output: first.output.map { own in second.output.map { own + $0 } ?? own } ?? second.output,
          sites: first.sites.merging(second.sites) { $0 + $1 })
      })
  }

  public static func * (factor: Float, scalar: Scalar) -> Scalar {
    Scalar(
      dependsOnOutput: scalar.dependsOnOutput, sites: scalar.patterns, value: { factor * scalar.value($0) },
      derivative: {
        let own = scalar.derivative($0)
        return Readings(output: own.output.map { $0 * factor }, sites: own.sites.mapValues { $0 * factor })
      })
  }
}
