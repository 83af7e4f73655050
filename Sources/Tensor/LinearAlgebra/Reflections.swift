import COpenBLAS

/// A product `Q = H₀ H₁ …` of Householder reflections `I - τ v vᵀ`, as LAPACK's factorisations leave it behind: `vᵢ` is
/// 0 before element `i` and 1 there, the rest is stored where the factorisation made zeros.
///
/// Applied in blocks `I - V T Vᵀ`, where `T⁻¹` is the upper triangle of `VᵀV` with `1 / τ` on its diagonal (Joffrain,
/// Low, Quintana-Ortí, van de Geijn, Van Zee: "Accumulating Householder transformations, revisited", 2006): a product
/// of matrices, where LAPACK's `larft` multiplies vectors one after the other. Columns of what `Q` is applied to do not
/// depend on each other: stripes of them run in parallel. Their width is fixed, so that results do not depend on the
/// number of threads.
struct Reflections<Scalar: LAPACKScalar> {
  /// A matrix that `Q` is applied to from the left.
  struct Target {
    var pointer: UnsafeMutablePointer<Scalar>
    /// Distance in memory between neighbouring columns, or rows.
    var leading: Int
    var columns: Int
    /// Whether the elements of a row, not of a column, lie side by side.
    var isByRows = false

    fileprivate func from(row: Int, column: Int) -> UnsafeMutablePointer<Scalar> {
      pointer + (isByRows ? row * leading + column : row + column * leading)
    }
  }

  /// Reflections that are applied together.
  private static var width: Int { 48 }

  /// Extent of `Q`.
  private let order: Int
  private let count: Int
  private let memory: (vectors: Tensor, triangles: Tensor)
  /// All `v` one after the other, `[count, order]`.
  private let vectors: UnsafeMutablePointer<Scalar>
  /// `T` of every block by columns, `[blocks, width, width]`.
  private let triangles: UnsafeMutablePointer<Scalar>

  private init(order: Int, count: Int) {
    let blocks = (count + Self.width - 1) / Self.width
    self.order = order
    self.count = count
    let (vectorMemory, vectors) = Tensor.scratch([count, order], as: Scalar.self)
    let (triangleMemory, triangles) = Tensor.scratch([blocks, Self.width, Self.width], as: Scalar.self)
    (memory, self.vectors, self.triangles) = ((vectorMemory, triangleMemory), vectors, triangles)
  }

  /// - Parameters:
  ///   - stored: where element 0 of `v₀` would be; only elements behind 0 of `v₀`, 1 of `v₁` … are read
  ///   - along: distance in memory between neighbouring elements of a `v`
  ///   - across: distance between the same elements of neighbouring `v`
  init(
    order: Int, count: Int, stored: UnsafePointer<Scalar>, along: Int, across: Int, tau: UnsafePointer<Scalar>
  ) {
    self.init(order: order, count: count)
    let blocks = blocks
    parallelFor(blocks.count) { range in
      for block in blocks[range] { take(block, stored, along, across, tau) }
    }
  }

  /// `A = Q R` of `[rows, columns]` by columns, which afterwards holds `R` in its upper triangle (LAPACK `geqrf`).
  init(factoring a: UnsafeMutablePointer<Scalar>, rows: Int, columns: Int, info: inout Int32) {
    self.init(order: rows, count: min(rows, columns))
    Scalar.withSpace(max(1, count)) { tau in
      for block in blocks where info == 0 {
        let first = block.lowerBound
        info = Scalar.geqrf(rows - first, block.count, a + first * (rows + 1), rows, tau + first)
        take(block, a, 1, rows, tau)
        let rest = Target(pointer: a + block.upperBound * rows, leading: rows, columns: columns - block.upperBound)
        forEachStripe(of: rest) { apply(block, transposed: true, to: rest, columns: $0, $1) }
      }
    }
  }

  /// `C = Q C`.
  ///
  /// - Parameter isIdentity: whether `C` is 1 on its diagonal and 0 elsewhere, of which most reflections leave most
  ///   columns alone
  func apply(to target: Target, isIdentity: Bool = false) {
    forEachStripe(of: target) { columns, space in
      for block in blocks.reversed() where !isIdentity || block.lowerBound < columns.upperBound {
        apply(block, transposed: false, to: target, columns: columns, space)
      }
    }
  }

  /// The reflections that are applied together.
  private var blocks: [Range<Int>] {
    stride(from: 0, to: count, by: Self.width).map { $0..<min($0 + Self.width, count) }
  }

  private func triangle(_ block: Range<Int>) -> UnsafeMutablePointer<Scalar> {
    triangles + block.lowerBound * Self.width
  }

  private func take(
    _ block: Range<Int>, _ stored: UnsafePointer<Scalar>, _ along: Int, _ across: Int, _ tau: UnsafePointer<Scalar>
  ) {
    // No reflection is one with v = 0 and any τ.
    for index in block where tau[index] != 0 {
      let v = vectors + index * order
      v[index] = 1
      for element in (index + 1)..<max(order, index + 1) { v[element] = stored[element * along + index * across] }
    }
    let first = block.lowerBound, size = block.count, v = vectors + first * (order + 1), t = triangle(block)
    Scalar.gemm(
      CblasColMajor, CblasTrans, CblasNoTrans, size, size, order - first, 1, v, order, v, order, 0, t, size)
    for index in block { t[(index - first) * (size + 1)] = tau[index] == 0 ? 1 : 1 / tau[index] }
    _ = Scalar.trtri(size, t)  // fails of zeros on the diagonal only
  }

  /// Runs `body` for parts of the columns in parallel, each with space for `VᵀC`.
  private func forEachStripe(of target: Target, _ body: (Range<Int>, UnsafeMutablePointer<Scalar>) -> Void) {
    withExtendedLifetime(memory) { Scalar.inStripes(target.columns, of: 96, space: Self.width, body) }
  }

  /// `C -= V T Vᵀ C` of some columns, `V Tᵀ Vᵀ C` for the transpose of the block.
  private func apply(
    _ block: Range<Int>, transposed: Bool, to target: Target, columns: Range<Int>, _ space: UnsafeMutablePointer<Scalar>
  ) {
    // By rows everything is its own transpose: V as it lies is Vᵀ.
    let layout = target.isByRows ? CblasRowMajor : CblasColMajor
    let plain = target.isByRows ? CblasTrans : CblasNoTrans, turned = target.isByRows ? CblasNoTrans : CblasTrans
    let first = block.lowerBound, size = block.count, rows = order - first, width = columns.count
    let v = vectors + first * (order + 1), c = target.from(row: first, column: columns.lowerBound)
    let leading = target.isByRows ? width : size
    Scalar.gemm(layout, turned, CblasNoTrans, size, width, rows, 1, v, order, c, target.leading, 0, space, leading)
    Scalar.trmm(
      layout, target.isByRows ? CblasLower : CblasUpper, transposed ? turned : plain, size, width, triangle(block),
      size, space, leading)
    Scalar.gemm(layout, plain, CblasNoTrans, rows, width, size, -1, v, order, space, leading, 1, c, target.leading)
  }
}
