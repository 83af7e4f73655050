// Layer, RMS and group norm in one pass over memory, with the modulation of adaptive norms fused in. Rows are computed
// in `f32` whatever the element type.
import CKernels

extension Tensor {
  /// Layer norm over the last axis (arXiv 1607.06450), modulated where scale and shift are given:
  /// `y = ((x - mean) / sqrt(variance + epsilon) * weight + bias) * (1 + scale) + shift`.
  ///
  /// - Parameters:
  ///   - weight: `[features]`
  ///   - bias: `[features]`
  ///   - scale: broadcasts to this tensor's shape, e.g. `[batch, 1, features]` for `[batch, tokens, features]`
  ///   - shift: broadcasts likewise
  ///   - resultType: element type of the result; this tensor's float type unless given
  public func layerNorm(
    weight: Tensor? = nil, bias: Tensor? = nil, scale: Tensor? = nil, shift: Tensor? = nil, epsilon: Float = 1e-5,
    as resultType: DType? = nil
  ) -> Tensor {
    normalized(RowNorm(rms: false, weight, bias, scale, shift, epsilon), as: resultType, "layerNorm")
  }

  /// RMS norm over the last axis (arXiv 1910.07467): as `layerNorm`, but divided by the root mean square and without
  /// subtracting the mean.
  public func rmsNorm(
    weight: Tensor? = nil, bias: Tensor? = nil, scale: Tensor? = nil, shift: Tensor? = nil, epsilon: Float = 1e-6,
    as resultType: DType? = nil
  ) -> Tensor {
    normalized(RowNorm(rms: true, weight, bias, scale, shift, epsilon), as: resultType, "rmsNorm")
  }

  /// Group norm (arXiv 1803.08494): mean and variance over `channels / groups` channels and all positions, then weight
  /// and bias per channel, then (`silu`) the SiLU that follows in residual blocks.
  ///
  /// - Parameters:
  ///   - weight: `[channels]`
  ///   - bias: `[channels]`
  ///   - modulation: scales and shifts what was normalised, before the SiLU
  /// - Precondition: this tensor is `[batch, channels, positions…]`
  public func groupNorm(
    groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Float = 1e-5,
    modulation: GroupModulation? = nil, silu: Bool = false, as resultType: DType? = nil
  ) -> Tensor {
    guard rank >= 2, groups > 0, shape[1] % groups == 0 else {
      tensorFailure("groupNorm: shape \(shape) is not [batch, channels, …] with channels divisible by \(groups)")
    }
    let channels = shape[1]
    let weight = (weight ?? bias.map { _ in Tensor(ones: [channels]) })?.parameter([channels], "groupNorm", of: self)
    let bias = (bias ?? weight.map { _ in Tensor(zeros: [channels]) })?.parameter([channels], "groupNorm", of: self)
    let x = aligned(), y = Tensor(uninitialized: shape, dtype: resultType ?? dtype.floatType)
    func run(_ modulation: UnsafePointer<ck_group_modulation>?) -> Bool {
      withExtendedLifetime((x, y, weight, bias)) {
        ck_group_norm(
          Kernels.current.table, x.rawPointer, x.dtype.kernelType, y.storage.base, y.dtype.kernelType, shape[0],
          channels, shape[2...].reduce(1, *), groups, epsilon, weight?.floatPointer, bias?.floatPointer, modulation,
          silu)
      }
    }
    let enough = modulation.map { $0.withTerms(for: x, run) } ?? run(nil)
    guard enough else { tensorFailure("groupNorm: out of memory for shape \(shape)") }
    return y
  }
}

/// What a norm over rows is given.
private struct RowNorm {
  var rms: Bool
  var weight, bias, scale, shift: Tensor?
  var epsilon: Float

  init(rms: Bool, _ weight: Tensor?, _ bias: Tensor?, _ scale: Tensor?, _ shift: Tensor?, _ epsilon: Float) {
    (self.rms, self.weight, self.bias, self.scale, self.shift) = (rms, weight, bias, scale, shift)
    self.epsilon = epsilon
  }
}

extension Tensor {
  private func normalized(_ norm: RowNorm, as resultType: DType?, _ name: String) -> Tensor {
    guard let features = shape.last else { tensorFailure("\(name): a scalar has no axis to normalise") }
    var norm = norm
    if norm.bias != nil { norm.weight = norm.weight ?? Tensor(ones: [features]) }
    norm.weight = norm.weight?.parameter([features], name, of: self)
    norm.bias = norm.bias?.parameter([features], name, of: self)
    if norm.scale != nil || norm.shift != nil {
      let scale = (norm.scale ?? Tensor(0)).modulation(of: self, name)
      let shift = (norm.shift ?? Tensor(0)).modulation(of: self, name)
      // One set of strides serves both.
      let same = scale.strides == shift.strides
      norm.scale = same ? scale : scale.contiguous()
      norm.shift = same ? shift : shift.contiguous()
    }
    let x = withContiguousRows(), y = x.uninitializedInSameOrder(resultType ?? dtype.floatType)
    x.runNorm(norm, into: y)
    return y
  }

  private func runNorm(_ norm: RowNorm, into y: Tensor) {
    let modulation = [norm.scale, norm.shift].compactMap { $0 }
    guard let axes = RowAxes([self, y] + modulation) else {
      // More than three axes that do not merge: one batch entry at a time.
      for index in 0..<shape[0] {
        var part = norm
        part.scale = norm.scale?.select(0, index)
        part.shift = norm.shift?.select(0, index)
        select(0, index).runNorm(part, into: y.select(0, index))
      }
      return
    }
    var rows = ck_rows(axes, count: shape[rank - 1], self, y)
    var parameters = ck_norm()
    parameters.rms = norm.rms
    parameters.epsilon = norm.epsilon
    if let scaleStrides = axes.strides.dropFirst(2).first {
      parameters.modulation_strides = (scaleStrides[0], scaleStrides[1], scaleStrides[2])
    }
    withExtendedLifetime((self, y, norm)) {
      parameters.weight = norm.weight?.floatPointer
      parameters.bias = norm.bias?.floatPointer
      parameters.scale = norm.scale?.floatPointer
      parameters.shift = norm.shift?.floatPointer
      ck_normalize_rows(Kernels.current.table, &rows, &parameters)
    }
  }

  /// A learned parameter in `f32`, contiguous.
  fileprivate func parameter(_ expected: [Int], _ name: String, of x: Tensor) -> Tensor {
    guard shape == expected else {
      tensorFailure("\(name): parameter of shape \(shape), expected \(expected), for input of shape \(x.shape)")
    }
    return converted(to: .f32).aligned()
  }

  /// Scale or shift in `f32`, broadcast to `x`'s shape with contiguous rows.
  private func modulation(of x: Tensor, _ name: String) -> Tensor {
    guard rank <= x.rank, Tensor.broadcastShape(shape, x.shape, name) == x.shape else {
      tensorFailure("\(name): modulation of shape \(shape) does not broadcast to input of shape \(x.shape)")
    }
    let rows = broadcast(to: Array(shape.dropLast()) + x.shape.suffix(1)).converted(to: .f32).withContiguousRows()
    return rows.broadcast(to: x.shape)
  }

  fileprivate var floatPointer: UnsafePointer<Float> { rawPointer.assumingMemoryBound(to: Float.self) }
}
