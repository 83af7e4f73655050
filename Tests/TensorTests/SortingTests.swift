import Tensor
import TestSupport
import Testing

@Suite struct SortingTests {
  @Test(arguments: [DType.f32, .bf16, .f16, .f64, .u8, .i32, .i64])
  func linesAreSortedStably(_ dtype: DType) {
    var random = TestRandom(1)
    for (shape, axis) in [
      ([7], 0), ([3, 5], 1), ([3, 5], 0), ([2, 9, 3], -2), ([2, 0], 1), ([0, 3], 1), ([300], 0),
    ] {
      var x = random.tensor(shape, dtype: dtype, below: shape == [300] ? 90 : 6)
      if dtype != .u8 { x = Tensor(x.floats.map { $0 - 3 }, shape: shape).converted(to: dtype) }
      for descending in [false, true] {
        let expected = naiveOrder(x, axis, descending)
        for view in oddViews(of: x) {
          #expect(view.argsort(axis, descending: descending).scalars(as: Int.self) == expected)
          let sorted = view.sorted(axis, descending: descending)
          let picked = x.gather(axis, Tensor(scalars: expected, shape: shape))
          #expect(sorted.dtype == dtype && sorted.isIdentical(to: picked))
        }
      }
    }
  }

  @Test func topKIsTheStartOfTheSortedLine() {
    var random = TestRandom(2)
    for (shape, axis) in [([40], 0), ([3, 50], 1), ([50, 3], 0), ([1000], 0)] {
      let x = random.tensor(shape, below: 20)
      for largest in [true, false] {
        let order = x.argsort(axis, descending: largest)
        for count in [0, 1, 3, 40] {
          for view in oddViews(of: x) {
            let top = view.topK(count, axis: axis, largest: largest)
            #expect(top.indices.isIdentical(to: order.narrow(axis, from: 0, count: count)))
            #expect(top.values.isIdentical(to: x.gather(axis, top.indices)))
          }
        }
      }
    }
  }

  @Test func aLongTopKOfAFewIsStableToo() {
    let x = TestRandom(5).with { $0.tensor([4000], below: 7) }
    #expect(x.topK(200).indices.isIdentical(to: x.argsort(descending: true)[..<200]))
  }

  /// Lines longer than a block of keys, of which one ends a block, of random bits: NaN among them, and in the narrow types
  /// infinities and both zeros.
  @Test(arguments: DType.allCases.filter { $0 != .bool })
  func anyBitsAreSortedAlikeOnEveryPath(_ dtype: DType) {
    var random = TestRandom(UInt64(dtype.size))
    for (shape, axis) in [([3, 200], 1), ([192, 2], 0), ([65], 0)] {
      let x = random.anyBits(shape, dtype)
      for descending in [false, true] {
        let order = Tensor(scalars: naiveOrder(x, axis, descending), shape: shape)
        for kernels in Kernels.available {
          Kernels.with(kernels) {
            #expect(x.argsort(axis, descending: descending).isIdentical(to: order), "\(kernels)")
            for count in [1, 7, 20] {
              let top = x.topK(count, axis: axis, largest: descending)
              #expect(top.indices.isIdentical(to: order.narrow(axis, from: 0, count: count)), "\(kernels), \(count)")
            }
          }
        }
      }
    }
  }

  @Test func notANumberIsTheGreatestAndZerosAreEqual() {
    let x = Tensor([.nan, 1, -0.0, 0.0, .infinity, -1, -.infinity, -.nan])
    for dtype in [DType.f32, .f64, .bf16, .f16] {
      let y = x.converted(to: dtype)
      #expect(y.argsort().scalars(as: Int.self) == [6, 5, 2, 3, 1, 4, 0, 7])
      #expect(y.argsort(descending: true).scalars(as: Int.self) == [0, 7, 4, 1, 2, 3, 5, 6])
      #expect(y.topK(3).indices.scalars(as: Int.self) == [0, 7, 4])
    }
  }

  @Test func signedAndUnsignedWholeNumbersAreToldApart() {
    #expect(Tensor(scalars: [3, -1, Int.min, Int.max]).sorted().scalars(as: Int.self) == [.min, -1, 3, .max])
    #expect(Tensor(scalars: [3, 255, 128] as [UInt8]).sorted().scalars(as: UInt8.self) == [3, 128, 255])
    #expect(Tensor(scalars: [3, -1, -128] as [Int8]).sorted().scalars(as: Int8.self) == [-128, -1, 3])
    #expect(Tensor(scalars: [true, false]).sorted().scalars(as: Bool.self) == [false, true])
  }

  @Test func aScalarIsSorted() {
    #expect(Tensor(5).sorted().item == 5 && Tensor(5).argsort().scalars(as: Int.self) == [0])
    #expect(Tensor(5).topK(1).values.item == 5)
  }

  @Test func tooManyAreNamed() async {
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).topK(4)
      }, "topK: 4 of axis -1 of shape [2, 3]")
  }

  private func naiveOrder(_ x: Tensor, _ axis: Int, _ descending: Bool) -> [Int] {
    let place = axis < 0 ? axis + x.rank : axis, plain = Plain(x)
    var result = Plain(plain), lines = x.shape
    lines[place] = min(1, lines[place])
    for start in Plain.positions(lines) {
      func at(_ i: Int) -> [Int] { start.enumerated().map { $0.offset == place ? i : $0.element } }
      let order = (0..<x.shape[place]).sorted {
        let (a, b) = (plain[at($0)], plain[at($1)])
        if a.isNaN != b.isNaN { return a.isNaN == descending }
        return a != b && !a.isNaN ? (descending ? a > b : a < b) : $0 < $1
      }
      for (i, index) in order.enumerated() { result[at(i)] = Double(index) }
    }
    return result.values.map { Int($0) }
  }
}

extension Plain {
  fileprivate init(_ other: Plain) { self = other }
}

extension TestRandom {
  /// Of any bits, but that integers of 64 have 53 that are exact as `Double`.
  fileprivate mutating func anyBits(_ shape: [Int], _ dtype: DType) -> Tensor {
    let isLong = dtype == .i64 || dtype == .u64
    let words = (0..<shape.reduce(dtype.size, *) / 8 + 1).map { _ in isLong ? next() & ~0x7FF : next() }
    return Tensor(storage: Tensor(scalars: words).storage, dtype: dtype, shape: shape)
  }
}
