import Tensor

// Matrix arithmetic of tests, in f64 and by plain loops.

/// `A · B` over the last two axes, leading axes broadcast, as `f64`.
func product(_ a: Tensor, _ b: Tensor) -> Tensor {
  let m = a.shape[a.rank - 2], k = a.shape[a.rank - 1], n = b.shape[b.rank - 1]
  let lead = Tensor.broadcastShape(Array(a.shape.dropLast(2)), Array(b.shape.dropLast(2)), "product")
  let x = a.broadcast(to: lead + [m, k]).converted(to: .f64).scalars(as: Double.self)
  let y = b.broadcast(to: lead + [k, n]).converted(to: .f64).scalars(as: Double.self)
  var result = [Double](repeating: 0, count: lead.reduce(1, *) * m * n)
  for matrix in 0..<lead.reduce(1, *) {
    for row in 0..<m {
      for column in 0..<n {
        var total = 0.0
        for inner in 0..<k { total += x[(matrix * m + row) * k + inner] * y[(matrix * k + inner) * n + column] }
        result[(matrix * m + row) * n + column] = total
      }
    }
  }
  return Tensor(scalars: result, shape: lead + [m, n])
}

/// `A + factor B` as `f64`.
func sum(_ a: Tensor, _ b: Tensor, _ factor: Double = 1) -> Tensor {
  let x = a.converted(to: .f64).scalars(as: Double.self), y = b.converted(to: .f64).scalars(as: Double.self)
  return Tensor(scalars: zip(x, y).map { $0 + factor * $1 }, shape: a.shape)
}

/// Column `j` of `[…, rows, k]` times element `j` of `[…, k]`.
func columnsScaled(_ x: Tensor, _ factors: Tensor) -> Tensor {
  let spread = factors.unsqueezed(-2).broadcast(to: x.shape).converted(to: .f64).scalars(as: Double.self)
  let values = x.converted(to: .f64).scalars(as: Double.self)
  return Tensor(scalars: zip(values, spread).map { $0 * $1 }, shape: x.shape)
}

/// Identity matrices with the rows of `x`, one for every matrix of its batch.
func identity(like x: Tensor) -> Tensor {
  let n = x.shape[x.rank - 2]
  return Tensor(identity: n).broadcast(to: Array(x.shape.dropLast(2)) + [n, n])
}

/// The runs along the last axis.
func rows(_ x: Tensor) -> [[Double]] {
  let values = x.converted(to: .f64).scalars(as: Double.self), width = x.shape.last ?? 1
  return width == 0 ? [] : (0..<(values.count / width)).map { Array(values[($0 * width)..<(($0 + 1) * width)]) }
}
