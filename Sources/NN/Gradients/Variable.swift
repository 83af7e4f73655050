import Tensor

/// A value in a computation that can be gone through backwards.
///
/// Operations on variables (`Linear`, `LayerNorm`, `attended(to:)` …) give variables that remember what they came from;
/// `backpropagate(_:)` walks that graph from its ends to its leaves. Values are computed when they are first read, so that
/// what neither a result nor a gradient needs is never computed. Weights are constants.
///
/// ```swift
/// let x = Variable(tokens, needsGradient: true)
/// let y = linear(x).activated(by: .geluTanh)
/// backpropagate([(y, gradientOfY)])
/// x.gradient                                     // of the shape of `tokens`
/// ```
///
/// Used from one thread at a time.
public final class Variable {
  /// Whether a gradient goes into it, or through it to what it came from.
  public let needsGradient: Bool
  /// With respect to this value: of a leaf, or of a value that `keepsGradient`, once `backpropagate` has run; nil where the
  /// ends do not depend on it.
  public fileprivate(set) var gradient: Tensor?
  /// Whether the gradient stays when it has been handed on.
  public var keepsGradient: Bool

  private var computed: Tensor?
  private var compute: (() -> Tensor)?
  fileprivate var inputs: [Variable] = []
  fileprivate var vjp: ((Tensor) -> [Tensor?])?
  fileprivate var isVisited = false

  /// A leaf.
  public init(_ value: Tensor, needsGradient: Bool = false) {
    computed = value
    self.needsGradient = needsGradient
    keepsGradient = true
  }

  /// The result of an operation.
  ///
  /// - Parameters:
  ///   - vjp: from the gradient of the result to those of the inputs, in their order and shapes; nil for an input that
  ///     needs none
  public init(of inputs: [Variable], vjp: @escaping (Tensor) -> [Tensor?], computing compute: @escaping () -> Tensor) {
    needsGradient = inputs.contains { $0.needsGradient }
    keepsGradient = false
    self.compute = compute
    if needsGradient {
      self.inputs = inputs
      self.vjp = vjp
    }
  }

  /// The result of an operation on one variable.
  public convenience init(
    of input: Variable, vjp: @escaping (Tensor) -> Tensor, computing compute: @escaping (Tensor) -> Tensor
  ) {
    self.init(of: [input], vjp: { [vjp($0)] }, computing: { compute(input.value) })
  }

  public var value: Tensor {
    if let computed { return computed }
    guard let compute else { tensorFailure("Variable: its value is needed and has been given back") }
    let value = compute()
    computed = value
    self.compute = nil
    return value
  }

  /// Adds to the gradient: what `backpropagate` then starts from too.
  fileprivate func add(_ gradient: Tensor) {
    guard needsGradient else { return }
    self.gradient = self.gradient.map { $0 + gradient } ?? gradient
  }

  /// Gives back what only this step needed.
  fileprivate func release() {
    (inputs, vjp, compute, computed) = ([], nil, nil, nil)
    if !keepsGradient { gradient = nil }
  }
}

/// Goes backwards from some values, given the gradients of a scalar with respect to them, to the leaves they came from. The
/// graph is given back on the way: a value's gradient can be asked for once.
public func backpropagate(_ ends: [(Variable, Tensor)]) {
  for (variable, gradient) in ends { variable.add(gradient) }
  var order: [Variable] = []
  for (variable, _) in ends where variable.needsGradient { visit(variable, &order) }
  while let variable = order.popLast() {
    if let gradient = variable.gradient, let vjp = variable.vjp {
      for (input, part) in zip(variable.inputs, vjp(gradient)) {
        if let part { input.add(part) }
      }
    }
    variable.isVisited = false
    if variable.vjp != nil { variable.release() }
  }
}

/// Appends what a variable came from, and then the variable.
private func visit(_ variable: Variable, _ order: inout [Variable]) {
  if variable.isVisited { return }
  variable.isVisited = true
  for input in variable.inputs where input.needsGradient { visit(input, &order) }
  order.append(variable)
}
