import Tensor
import TestSupport
import Testing

/// Against the definition: a sum over all values of all letters.
@Suite struct EinsumTests {
  private static let cases: [(String, [[Int]])] = [
    ("ij,jk->ik", [[2, 3], [3, 4]]), ("ij,jk->ki", [[2, 3], [3, 4]]), ("ij,kj->ik", [[2, 3], [4, 3]]),
    ("bhqd,bhkd->bhqk", [[2, 3, 4, 5], [2, 3, 6, 5]]), ("bhqk,bhkd->bhqd", [[2, 3, 4, 6], [2, 3, 6, 5]]),
    ("i,j->ij", [[3], [4]]), ("i,i->", [[5], [5]]), ("i,i->i", [[5], [5]]), ("ii->", [[4, 4]]), ("ii->i", [[4, 4]]),
    ("iij,j->i", [[3, 3, 2], [2]]), ("ij->ji", [[2, 3]]), ("ijk->j", [[2, 3, 4]]), ("ij,k->i", [[2, 3], [4]]),
    ("ab,bc,cd->ad", [[2, 3], [3, 4], [4, 5]]), ("ab,ab,ab->b", [[3, 2], [3, 2], [3, 2]]),
    ("blc,hdc->bhld", [[2, 3, 4], [2, 5, 4]]), ("ij,ij->", [[3, 4], [1, 4]]), ("ij,jk->ik", [[2, 0], [0, 3]]),
    ("ij,jk->ik", [[0, 2], [2, 3]]), (",->", [[], []]), ("a,,b->ba", [[2], [], [3]]), ("b c , c -> b", [[2, 3], [3]]),
    ("xyz,zyw,wx->y", [[2, 3, 4], [4, 3, 5], [5, 2]]),
  ]

  @Test(arguments: cases.indices)
  func isTheSumOfProducts(_ index: Int) {
    let (pattern, shapes) = EinsumTests.cases[index]
    var random = TestRandom(UInt64(index))
    for dtype in [DType.f32, .f64, .i64] {
      let operands = shapes.map { random.tensor($0, dtype: dtype, below: 7) }
      let (shape, expected) = naive(pattern, operands.map(Plain.init))
      for kind in 0..<5 {
        let result = einsum(pattern, operands.map { oddViews(of: $0)[kind] })
        #expect(result.shape == shape && result.dtype == dtype, "\(pattern)")
        #expect(Plain(result).values == expected, "\(pattern) \(dtype) layout \(kind)")
      }
    }
  }

  @Test(arguments: [
    ("...ij,...jk->...ik", "aij,jk->aik", [[5, 2, 3], [3, 4]]), ("...ij,...jk", "aij,jk->aik", [[5, 2, 3], [3, 4]]),
    ("i...,i...->...", "iab,ibc->abc", [[3, 2, 1], [3, 5, 4]]), ("ij,jk", "ij,jk->ik", [[2, 3], [3, 4]]),
    ("ba", "ba->ab", [[2, 3]]), ("ii", "ii->", [[3, 3]]), ("b...->...b", "bij->ijb", [[2, 3, 4]]),
    ("i...->i", "ijk->i", [[2, 3, 4]]), ("...", "ab->ab", [[2, 3]]), ("aB,Bc", "xB,Bc->xc", [[2, 3], [3, 2]]),
  ])
  func shortPatternsMeanTheLongOnes(_ short: String, _ long: String, _ shapes: [[Int]]) {
    var random = TestRandom(9)
    let operands = shapes.map { random.tensor($0, below: 5) }
    if short == "i...,i...->..." {
      let a = operands[0].broadcast(to: [3, 2, 1]), b = operands[1]
      let expected = Plain(shape: [5, 4]) { p in
        (0..<3).reduce(0.0) { $0 + Plain(a.broadcast(to: [3, 2, 4]))[[$1, 0, p[1]]] * Plain(b)[[$1, p[0], p[1]]] }
      }
      let stretched = einsum(short, a[.all, 0..<1], b)
      #expect(stretched.shape == [5, 4] && Plain(stretched).values == expected.values)
      return
    }
    let (shape, expected) = naive(long, operands.map(Plain.init))
    let result = einsum(short, operands)
    #expect(result.shape == shape && Plain(result).values == expected, "\(short)")
  }

  @Test func anOrderOfAxesIsAView() {
    let x = Tensor(zeros: [512, 512])
    let y = einsum("ij->ji", x), diagonal = einsum("ii->i", x)
    #expect(y.storage === x.storage && y.strides == [1, 512])
    #expect(diagonal.storage === x.storage && diagonal.strides == [513])
  }

  @Test func narrowFloatsAreSummedWide() {
    let ones = Tensor(ones: [1, 1000], dtype: .bf16)
    let sum = einsum("ij,kj->ik", ones, ones)
    #expect(sum.item == 1000 && sum.dtype == .f32)
  }

  @Test func mistakesAreNamed() async {
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = einsum("ij,jk->ik", Tensor(zeros: [2, 3]), Tensor(zeros: [4, 5]))
      }, "'ij,jk->ik' gives one axis the extents 3 and 4; shapes [2, 3], [4, 5]")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = einsum("ij,jk->il", Tensor(zeros: [2, 3]), Tensor(zeros: [3, 5]))
      }, "has an axis in the result that no operand has")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = einsum("ijk->i", Tensor(zeros: [2, 3]))
      }, "has 3 axes for an operand of shape [2, 3]")
  }

  /// Letters only, result named.
  private func naive(_ pattern: String, _ operands: [Plain]) -> ([Int], [Double]) {
    let sides = pattern.filter { $0 != " " }.split(separator: ">", omittingEmptySubsequences: false)
    let inputs = sides[0].dropLast().split(separator: ",", omittingEmptySubsequences: false).map(Array.init)
    let output = Array(sides[1])
    var extents: [Character: Int] = [:]
    for (labels, operand) in zip(inputs, operands) {
      for (label, extent) in zip(labels, operand.shape) {
        extents[label] = extents[label].map { $0 == 1 ? extent : $0 } ?? extent
      }
    }
    let letters = extents.keys.sorted()
    var result = Plain(shape: output.map { extents[$0, default: 1] }) { _ in 0 }
    for position in Plain.positions(letters.map { extents[$0, default: 1] }) {
      let place = Dictionary(uniqueKeysWithValues: zip(letters, position))
      let product = zip(inputs, operands).reduce(1.0) { product, term in
        product * term.1[zip(term.0, term.1.shape).map { $1 == 1 ? 0 : place[$0, default: 0] }]
      }
      result[output.map { place[$0, default: 0] }] += product
    }
    return (result.shape, result.values)
  }
}
