import Tensor

// The layers on variables: the same results, and the way back. Weights are constants.

extension Linear {
  /// The gradient with respect to the input, from that with respect to the output.
  ///
  /// - Parameters:
  ///   - gradient: `[..., outputs]`
  ///   - columns: the part of the weight's columns that the input met; nil for all
  /// - Returns: `[..., inputs]`
  public func vjp(_ gradient: Tensor, columns: Range<Int>? = nil) -> Tensor {
    switch weight {
    case .dense(let tensor):
      let part = columns.map { tensor.narrow(1, from: $0.lowerBound, count: $0.count) } ?? tensor
      return .linearVJP(gradient, weight: part)
    case .quantized(let matrix): return .linearVJP(gradient, weight: matrix, columns: columns)
    }
  }

  public func callAsFunction(_ x: Variable) -> Variable {
    Variable(of: x, vjp: { vjp($0) }) { self($0) }
  }

  /// The product of inputs side by side, each multiplied by its own columns.
  ///
  /// - Parameter parts: `[..., part]`, whose widths add up to the inputs
  public func callAsFunction(parts: [Variable]) -> Variable {
    let shares = shares(parts)
    guard let first = shares.first else { tensorFailure("Linear: no parts") }
    return shares.dropFirst().reduce(first, +)
  }

  /// What every input of several side by side gives of the product, multiplied by its own columns; the bias is in the first.
  ///
  /// - Parameter parts: `[..., part]`, whose widths add up to the inputs
  public func shares(_ parts: [Variable]) -> [Variable] {
    var column = 0
    return parts.enumerated().map { index, part in
      let width = part.value.shape[part.value.rank - 1], columns = column..<column + width
      column += width
      return Variable(of: part, vjp: { vjp($0, columns: columns) }) {
        product([LinearInput($0)], columns: columns, bias: index == 0 ? bias : nil)[0]
      }
    }
  }
}

extension LayerNorm {
  /// - Parameters:
  ///   - x: `[batch, tokens, dim]`, or any shape without modulation
  ///   - scale: `[batch, dim]`; the normalised value is multiplied by `1 + scale`
  ///   - shift: `[batch, dim]`, added last
  public func callAsFunction(_ x: Variable, scale: Variable? = nil, shift: Variable? = nil) -> Variable {
    let modulation = [scale, shift].compactMap { $0 }
    return Variable(
      of: [x] + modulation,
      vjp: { dy in
        var gradients: [Tensor?] = [
          x.needsGradient
            ? x.value.layerNormVJP(dy, weight: weight, scale: scale?.value.unsqueezed(1), epsilon: eps) : nil
        ]
        if let scale { gradients.append(scale.needsGradient ? (dy * self(x.value)).sum(1) : nil) }
        if let shift { gradients.append(shift.needsGradient ? dy.sum(1) : nil) }
        return gradients
      }
    ) { self(x.value, scale: scale?.value, shift: shift?.value) }
  }
}

extension RMSNorm {
  /// - Parameter x: `[..., dim]`
  public func callAsFunction(_ x: Variable) -> Variable {
    Variable(of: x, vjp: { x.value.rmsNormVJP($0, weight: weight, epsilon: eps) }) { self($0) }
  }
}

extension EmbeddingMLP {
  /// - Parameter x: `[batch, inputs]`
  public func callAsFunction(_ x: Variable) -> Variable { second(first(x).activated(by: .silu)) }
}

extension TimestepTextEmbedding {
  /// - Parameter pooled: `[batch, pooledDim]`; timestep and guidance are constants
  public func callAsFunction(timestep: [Float], guidance: [Float]? = nil, pooled: Variable) -> Variable {
    // The rest of the sum does not depend on the pooled vector.
    Variable(of: textEmbedder(pooled), vjp: { $0 }) { [self] _ in
      self(timestep: timestep, guidance: guidance, pooled: pooled.value)
    }
  }
}

extension PatchEmbedding {
  /// - Parameter latents: `[batch, channels, height, width]`
  public func callAsFunction(_ latents: Variable) -> Variable {
    let extents = ["p": patchSize, "q": patchSize], shape = latents.value.shape
    // A convolution whose stride is its kernel multiplies whole patches.
    let patches = Linear(weight: projection.weight.flattened(from: 1))
    return Variable(
      of: latents,
      vjp: { dy in
        patches.vjp(dy).rearranged(
          "b (h w) (c p q) -> b c (h p) (w q)", extents.merging(["h": shape[2] / patchSize]) { $1 })
      }
    ) { self($0) }
  }
}

extension FeedForward {
  /// What goes into the second layer, `[..., hidden]`.
  public func hidden(_ x: Variable) -> Variable {
    switch variant {
    case .gelu: return up(x).activated(by: .gelu)
    case .geluApproximate: return up(x).activated(by: .geluTanh)
    case .geglu:
      let parts = up(x).chunked(2)
      return parts[0] * parts[1].activated(by: .gelu)
    }
  }

  /// `residual + gate * mlp(x)`, with the sites `mlpHidden` and `mlpOutput`.
  ///
  /// - Parameter gate: `[batch, dim]`
  public func callAsFunction(_ x: Variable, gate: Variable, residual: Variable, tap: TracedTap) -> Variable {
    residual.adding(tap(.mlpOutput, down(tap(.mlpHidden, hidden(x)))), gatedBy: gate)
  }
}

extension Linear {
  /// `residual + gate * (x Wᵀ + b)` of an attention's output projection, with the sites `attentionProjected` and
  /// `residualMiddle`.
  ///
  /// - Parameter gate: `[batch, dim]`
  public func callAsFunction(_ x: Variable, gate: Variable, residual: Variable, tap: TracedTap) -> Variable {
    tap(.residualMiddle, residual.adding(tap(.attentionProjected, self(x)), gatedBy: gate))
  }
}
