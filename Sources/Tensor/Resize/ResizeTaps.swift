import Glibc

/// For every position along one axis of the result: the run of source positions it is made of and their weights.
struct ResizeTaps<Weight: Sendable>: Sendable {
  /// First source position, per position of the result.
  var starts: [Int]
  /// Number of source positions, per position of the result.
  var counts: [Int]
  /// `stride` weights per position of the result, of which the first `counts[i]` are used.
  var weights: [Weight]
  var stride: Int

  var count: Int { starts.count }
}

extension ResizeTaps where Weight == Float {
  /// Weights as `torch.nn.functional.interpolate` computes them, in `f32`.
  init(from input: Int, to output: Int, mode: ResizeMode, antialias: Bool, alignCorners: Bool) {
    let scale = Self.scale(input, output, alignCorners)
    switch mode {
    case .nearest, .nearestExact:
      let offset = mode == .nearestExact ? 0.5 : 0.0
      // `nearest` multiplies in single, `nearest-exact` in double precision, as PyTorch does.
      let ratio = Float(input) / Float(output)
      let starts = (0..<output).map { position in
        let source = mode == .nearest ? Float(position) * ratio : Float((Double(position) + offset) * Double(ratio))
        return min(Int(source.rounded(.down)), input - 1)
      }
      self.init(starts: starts, counts: [Int](repeating: 1, count: output), weights: [], stride: 0)
    case .bilinear where antialias:
      self.init(filtered: input, output, scale, support: 1) { max(0, 1 - abs($0)) }
    case .bicubic where antialias:
      self.init(filtered: input, output, scale, support: 2) { Self.cubic(abs($0), -0.5) }
    case .bilinear:
      self.init(linear: input, output, scale, alignCorners)
    case .bicubic:
      self.init(cubic: input, output, scale, alignCorners)
    }
  }

  /// Source positions per position of the result.
  private static func scale(_ input: Int, _ output: Int, _ alignCorners: Bool) -> Float {
    if alignCorners { return output > 1 ? Float(input - 1) / Float(output - 1) : 0 }
    return Float(input) / Float(output)
  }

  private static func source(_ position: Int, _ scale: Float, _ alignCorners: Bool) -> Float {
    alignCorners ? scale * Float(position) : scale * (Float(position) + 0.5) - 0.5
  }

  private init(linear input: Int, _ output: Int, _ scale: Float, _ alignCorners: Bool) {
    self.init(starts: [], counts: [], weights: [], stride: 2)
    for position in 0..<output {
      let source = max(0, Self.source(position, scale, alignCorners)), first = min(Int(source), input - 1)
      let share = min(max(source - Float(first), 0), 1)
      starts.append(first)
      counts.append(first + 1 < input ? 2 : 1)
      weights += first + 1 < input ? [1 - share, share] : [1, 0]
    }
  }

  /// Four positions around the source; those beyond an edge repeat the edge.
  private init(cubic input: Int, _ output: Int, _ scale: Float, _ alignCorners: Bool) {
    self.init(starts: [], counts: [], weights: [], stride: 4)
    for position in 0..<output {
      let source = Self.source(position, scale, alignCorners)
      let whole = min(Int(source.rounded(.down)), input - 1), share = min(max(source - Float(whole), 0), 1)
      let first = max(0, whole - 1), last = min(input - 1, whole + 2)
      var own: [Float] = [0, 0, 0, 0]
      for step in -1...2 {
        let place = min(max(whole + step, 0), input - 1)
        own[place - first] += Self.cubic(abs(share - Float(step)), -0.75)
      }
      starts.append(first)
      counts.append(last - first + 1)
      weights += own
    }
  }

  /// Antialiased: a filter that is stretched over all source positions that one position of the result covers.
  private init(
    filtered input: Int, _ output: Int, _ scale: Float, support: Float, _ filter: (Float) -> Float
  ) {
    let stretch = max(1, scale), reach = support * stretch, inverse = 1 / stretch
    self.init(starts: [], counts: [], weights: [], stride: Int(reach.rounded(.up)) * 2 + 1)
    for position in 0..<output {
      let center = Float(Double(scale) * (Double(position) + 0.5))
      let first = max(Int(Double(center - reach) + 0.5), 0)
      let count = min(max(min(Int(Double(center + reach) + 0.5), input) - first, 0), stride)
      var own = [Float](repeating: 0, count: stride)
      for tap in 0..<count {
        own[tap] = filter(Float((Double(Float(tap + first) - center) + 0.5) * Double(inverse)))
      }
      let total = own.reduce(0, +)
      starts.append(first)
      counts.append(count)
      weights += total == 0 ? own : own.map { $0 / total }
    }
  }

  /// Cubic convolution (Keys 1981) at a non-negative distance.
  private static func cubic(_ x: Float, _ a: Float) -> Float {
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a }
    return 0
  }
}

extension ResizeTaps where Weight == Double {
  /// Weights as Pillow's `Image.resize` computes them.
  init(from input: Int, to output: Int, filter: ImageFilter) {
    let scale = Double(input) / Double(output), stretch = max(1, scale), reach = filter.support * stretch
    self.init(starts: [], counts: [], weights: [], stride: Int(reach.rounded(.up)) * 2 + 1)
    let inverse = 1 / stretch
    for position in 0..<output {
      let center = (Double(position) + 0.5) * scale
      let first = max(Int(center - reach + 0.5), 0), count = min(Int(center + reach + 0.5), input) - first
      var own = [Double](repeating: 0, count: stride), total = 0.0
      for tap in 0..<count {
        own[tap] = filter.weight((Double(tap + first) - center + 0.5) * inverse)
        total += own[tap]
      }
      starts.append(first)
      counts.append(count)
      weights += total == 0 ? own : own.map { $0 / total }
    }
  }

  /// The weights as whole numbers of 2^-22, rounded half away from zero: how Pillow resizes 8-bit pictures.
  var fixedPoint: ResizeTaps<Int32> {
    let whole = weights.map { Int32($0 < 0 ? -0.5 + $0 * 0x1p22 : 0.5 + $0 * 0x1p22) }
    return ResizeTaps<Int32>(starts: starts, counts: counts, weights: whole, stride: stride)
  }
}

extension ImageFilter {
  /// Distance at which the weight becomes 0, in positions of the coarser grid.
  fileprivate var support: Double {
    switch self {
    case .nearest, .box: 0.5
    case .bilinear, .hamming: 1
    case .bicubic: 2
    case .lanczos: 3
    }
  }

  fileprivate func weight(_ x: Double) -> Double {
    let distance = abs(x)
    switch self {
    case .nearest, .box: return x > -0.5 && x <= 0.5 ? 1 : 0
    case .bilinear: return distance < 1 ? 1 - distance : 0
    case .hamming:
      if distance == 0 { return 1 }
      if distance >= 1 { return 0 }
      // Pillow writes these two constants in single precision.
      return Self.sinc(distance) * (Double(0.54 as Float) + Double(0.46 as Float) * cos(distance * .pi))
    case .bicubic:
      if distance < 1 { return (1.5 * distance - 2.5) * distance * distance + 1 }
      if distance < 2 { return (((distance - 5) * distance + 8) * distance - 4) * -0.5 }
      return 0
    case .lanczos: return x >= -3 && x < 3 ? Self.sinc(x) * Self.sinc(x / 3) : 0
    }
  }

  private static func sinc(_ x: Double) -> Double {
    if x == 0 { return 1 }
    let angle = x * .pi
    return sin(angle) / angle
  }
}
