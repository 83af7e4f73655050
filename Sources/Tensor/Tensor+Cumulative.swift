// Running sums, products and maxima along one axis.

extension Tensor {
  /// Sum of everything up to and including each position; floats are added up in `f64`, integers give `i64`.
  public func cumulativeSum(_ axis: Int) -> Tensor {
    cumulative(axis, "cumulativeSum", as: dtype.isFloatingPoint ? dtype : .i64, floats: +, integers: &+)
  }

  /// Product of everything up to and including each position.
  public func cumulativeProduct(_ axis: Int) -> Tensor {
    cumulative(axis, "cumulativeProduct", as: dtype.isFloatingPoint ? dtype : .i64, floats: *, integers: &*)
  }

  /// The largest element up to and including each position; NaN from the first NaN on.
  public func cumulativeMax(_ axis: Int) -> Tensor {
    cumulative(
      axis, "cumulativeMax", as: dtype, floats: { $1 > $0 || $1.isNaN ? $1 : $0 }, integers: { Swift.max($0, $1) })
  }

  private func cumulative(
    _ axis: Int, _ name: String, as target: DType, floats: (Double, Double) -> Double,
    integers: (Int64, Int64) -> Int64
  ) -> Tensor {
    let axis = normalizedAxis(axis, name), length = shape[axis]
    let moved = movedAxis(axis, to: -1)
    let wide = target.computeType == .i64 ? DType.i64 : .f64
    let packed = moved.converted(to: wide).contiguous(), result = Tensor(uninitialized: packed.shape, dtype: wide)
    if count > 0 {
      if wide == .i64 {
        Tensor.scan(packed, into: result, length, Int64.self, integers)
      } else {
        Tensor.scan(packed, into: result, length, Double.self, floats)
      }
    }
    return result.converted(to: target).movedAxis(-1, to: axis)
  }

  private static func scan<Element>(
    _ source: Tensor, into result: Tensor, _ length: Int, _ type: Element.Type, _ combine: (Element, Element) -> Element
  ) {
    let from = source.rawPointer.assumingMemoryBound(to: Element.self)
    let to = result.storage.base.assumingMemoryBound(to: Element.self)
    withExtendedLifetime((source, result)) {
      parallelFor(source.count / length, grain: Swift.max(1, 4096 / length)) { rows in
        for row in rows {
          var running = from[row * length]
          to[row * length] = running
          for index in (row * length + 1)..<((row + 1) * length) {
            running = combine(running, from[index])
            to[index] = running
          }
        }
      }
    }
  }
}
