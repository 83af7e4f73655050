// Backwards through norms and activations: from the gradient of the result to that of the operand. Learned parameters are
// constants.
import CKernels

extension Tensor {
  /// The gradient of a scalar with respect to this tensor, from that with respect to
  /// `layerNorm(weight:bias:scale:shift:epsilon:)` of it.
  ///
  /// - Parameters:
  ///   - gradient: with respect to the result, of this tensor's shape
  ///   - weight: `[features]`
  ///   - scale: broadcasts to this tensor's shape
  /// - Returns: this tensor's shape, `f32`
  public func layerNormVJP(
    _ gradient: Tensor, weight: Tensor? = nil, scale: Tensor? = nil, epsilon: Float = 1e-5
  ) -> Tensor {
    normVJP(gradient, rms: false, weight, scale, epsilon, "layerNormVJP")
  }

  /// The same for `rmsNorm`.
  public func rmsNormVJP(
    _ gradient: Tensor, weight: Tensor? = nil, scale: Tensor? = nil, epsilon: Float = 1e-6
  ) -> Tensor {
    normVJP(gradient, rms: true, weight, scale, epsilon, "rmsNormVJP")
  }

  /// The gradient with respect to this tensor, from that with respect to `activated(by:)` of it.
  ///
  /// - Parameter gradient: of this tensor's shape
  /// - Returns: this tensor's shape, `f32`
  public func activatedVJP(_ gradient: Tensor, by activation: Activation) -> Tensor {
    requireGradient(gradient, "activatedVJP")
    if activation == .identity { return gradient.converted(to: .f32) }
    let x = converted(to: .f32).aligned(), dy = gradient.converted(to: .f32).aligned()
    var dx = Tensor(uninitialized: shape)
    let target = dx.freshPointer(as: Float.self)
    withExtendedLifetime((x, dy)) {
      ck_activation_gradient(
        Kernels.current.table, activation.code, x.gradientPointer, dy.gradientPointer, target, count)
    }
    return dx
  }

  private func normVJP(
    _ gradient: Tensor, rms: Bool, _ weight: Tensor?, _ scale: Tensor?, _ epsilon: Float, _ name: String
  ) -> Tensor {
    guard let features = shape.last else { tensorFailure("\(name): a scalar has no axis to normalise") }
    requireGradient(gradient, name)
    if let weight, weight.shape != [features] {
      tensorFailure("\(name): weight of shape \(weight.shape), expected \([features]), for input of shape \(shape)")
    }
    let x = converted(to: .f32).withContiguousRows(), dy = gradient.converted(to: .f32).withContiguousRows()
    let weight = weight?.converted(to: .f32).aligned(), dx = x.uninitializedInSameOrder(.f32)
    let rows = scale.map { scale in
      scale.broadcast(to: Array(scale.shape.dropLast()) + [features]).converted(to: .f32).withContiguousRows()
        .broadcast(to: shape)
    }
    var parameters = ck_norm_gradient()
    (parameters.n, parameters.rms, parameters.epsilon) = (features, rms, epsilon)
    withExtendedLifetime((x, dy, dx, weight, rows)) {
      parameters.weight = weight?.gradientPointer
      parameters.run(x, dy, dx, rows)
    }
    return dx
  }

  func requireGradient(_ gradient: Tensor, _ name: String) {
    guard gradient.shape == shape else {
      tensorFailure("\(name): gradient of shape \(gradient.shape), expected \(shape)")
    }
  }

  var gradientPointer: UnsafePointer<Float> { rawPointer.assumingMemoryBound(to: Float.self) }
}

extension ck_norm_gradient {
  /// - Parameter scale: broadcast to `x`'s shape
  fileprivate func run(_ x: Tensor, _ dy: Tensor, _ dx: Tensor, _ scale: Tensor?) {
    guard let axes = RowAxes([x, dy, dx] + [scale].compactMap { $0 }) else {
      // More than three axes that do not merge: one batch entry at a time.
      for index in 0..<x.shape[0] {
        run(x.select(0, index), dy.select(0, index), dx.select(0, index), scale?.select(0, index))
      }
      return
    }
    func triple(_ values: [Int]) -> (Int, Int, Int) { (values[0], values[1], values[2]) }
    var call = self
    call.sizes = triple(axes.sizes)
    call.x = x.gradientPointer
    call.dy = dy.gradientPointer
    call.dx = UnsafeMutablePointer(mutating: dx.gradientPointer)
    (call.x_strides, call.dy_strides) = (triple(axes.strides[0]), triple(axes.strides[1]))
    call.dx_strides = triple(axes.strides[2])
    if let scale {
      call.scale = scale.gradientPointer
      call.scale_strides = triple(axes.strides[3])
    }
    ck_norm_rows_gradient(Kernels.current.table, &call)
  }
}
