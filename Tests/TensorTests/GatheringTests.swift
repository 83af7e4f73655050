import Tensor
import TestSupport
import Testing

@Suite struct GatheringTests {
  @Test(arguments: [DType.f32, .bf16, .u8, .f64])
  func takeReplacesAnAxisByTheIndices(_ dtype: DType) {
    var random = TestRandom(1)
    let x = random.tensor([3, 4, 5], dtype: dtype), plain = Plain(x)
    for axis in 0..<3 {
      let extent = x.shape[axis]
      for shape in [[], [2], [2, 3], [0]] {
        let indices = random.indices(shape, in: -extent..<extent), named = indices.scalars(as: Int.self)
        let whole = Array(x.shape[..<axis]) + shape + Array(x.shape[(axis + 1)...])
        let expected = Plain(shape: whole) { position in
          let inner = position[axis..<(axis + shape.count)]
          let index = named[zip(inner, shape).reduce(0) { $0 * $1.1 + $1.0 }]
          return plain[position[..<axis] + [index < 0 ? index + extent : index] + position[(axis + shape.count)...]]
        }
        for kind in 0..<5 {
          let taken = oddViews(of: x)[kind].take(axis, oddViews(of: indices)[kind])
          #expect(taken.shape == whole && Plain(taken).values == expected.values)
          #expect(taken.isIdentical(to: x.take(axis, indices.converted(to: .i32).transposedBack())))
        }
      }
    }
  }

  @Test func gatherPicksAlongAnAxisPerLine() {
    var random = TestRandom(3)
    let x = random.tensor([3, 4, 5]), plain = Plain(x)
    for axis in 0..<3 {
      for shape in [[3, 4, 5], [2, 3, 4], [1, 1, 1], [2, 0, 4]] {
        var shape = shape
        if shape[axis] > 0 { shape[axis] += 4 }
        let indices = random.indices(shape, in: 0..<x.shape[axis]), chosen = Plain(indices)
        let expected = Plain(shape: shape) { position in
          var from = position
          from[axis] = Int(chosen[position])
          return plain[from]
        }
        for kind in 0..<5 {
          #expect(Plain(oddViews(of: x)[kind].gather(axis, oddViews(of: indices)[kind])).values == expected.values)
        }
      }
    }
  }

  @Test(arguments: [DType.f32, .bf16, .i64, .i32, .f64, .u8])
  func scatterAddsOrWritesInOrder(_ dtype: DType) {
    var random = TestRandom(4)
    let x = random.tensor([3, 4, 5], dtype: dtype, below: 9)
    for axis in 0..<3 {
      var shape = [2, 3, 4]
      shape[axis] = 7
      let indices = random.indices(shape, in: 0..<x.shape[axis]), chosen = Plain(indices)
      let source = random.tensor([7, 7, 7], dtype: dtype, below: 9), plain = Plain(source)
      var written = Plain(x), added = Plain(x)
      for position in Plain.positions(shape) {
        var to = position
        to[axis] = Int(chosen[position])
        written[to] = plain[position]
        added[to] += plain[position]
      }
      for kind in 0..<5 {
        let views = [x, indices, source].map { oddViews(of: $0)[kind] }
        #expect(Plain(views[0].scatter(axis, views[1], views[2])).values == written.values)
        #expect(Plain(views[0].scatterAdd(axis, views[1], views[2])).values == added.values)
      }
      #expect(x.dtype == dtype)
    }
  }

  @Test func manyLinesAreScatteredAtOnce() {
    var random = TestRandom(5)
    let indices = random.indices([300], in: 0..<10), source = random.tensor([300, 700])
    let added = Tensor(zeros: [10, 700]).scatterAdd(0, indices.unsqueezed(1).broadcast(to: [300, 700]), source)
    var expected = Plain(Tensor(zeros: [10, 700]))
    let named = indices.scalars(as: Int.self), plain = Plain(source)
    for position in Plain.positions([300, 700]) { expected[[named[position[0]], position[1]]] += plain[position] }
    #expect(Plain(added).values == expected.values)
  }

  @Test func oneHotMarksOneClass() {
    let x = Tensor(scalars: [2, 0, 1, 2], shape: [2, 2])
    for view in oddViews(of: x) {
      let hot = view.oneHot(3)
      #expect(hot.shape == [2, 2, 3] && hot.floats == [0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1])
    }
    #expect(Tensor(scalars: [1, 2]).oneHot(4, dtype: .bool).scalars(as: Bool.self).count { $0 } == 2)
    #expect(x.scatter(0, Tensor(scalars: [1], shape: [1, 1]), 9).scalars(as: Int.self) == [2, 0, 9, 2])
  }

  @Test func masksFillAndSelect() {
    var random = TestRandom(6)
    for (shape, maskShape) in [
      ([3, 4, 5], [3, 4, 5]), ([3, 4, 5], [4, 1]), ([], []), ([2, 0], [2, 0]), ([70], [70]),
    ] {
      let x = random.tensor(shape), mask = random.tensor(maskShape, below: 2).converted(to: .bool)
      let plain = Plain(x), bits = Plain(mask.broadcast(to: shape))
      let filled = Plain(shape: shape) { bits[$0] != 0 ? -7 : plain[$0] }
      let selected = Plain.positions(shape).filter { bits[$0] != 0 }.map { plain[$0] }
      for kind in 0..<5 {
        let view = oddViews(of: x)[kind], part = oddViews(of: mask)[kind]
        #expect(Plain(view.maskedFill(part, -7)).values == filled.values)
        #expect(Plain(view.maskedSelect(part)).values == selected)
        let places = Plain.positions(shape).filter { bits[$0] != 0 }
        let found = oddViews(of: mask.broadcast(to: shape))[kind].nonZero()
        #expect(found.shape == [places.count, shape.count] && found.scalars(as: Int.self) == places.flatMap { $0 })
      }
    }
    #expect(Tensor([1, 2], shape: [2, 1]).maskedSelect(Tensor(scalars: [true, false, true])).floats == [1, 1, 2, 2])
  }

  @Test func minusZeroIsZeroAndNaNIsNot() {
    #expect(Tensor([-0.0, .nan, 0, 2]).nonZero().scalars(as: Int.self) == [1, 3])
    #expect(Tensor(scalars: [0, Int.min]).nonZeroCount == 1)
  }

  @Test func positionsOutsideAreNamed() async {
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).take(1, [0, 3])
      }, "take: index 3 is outside axis 1 of shape [2, 3]")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).gather(1, Tensor(scalars: [-1], shape: [1, 1]))
      }, "gather: index -1 is outside axis 1 of shape [2, 3]")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(scalars: [0, 5]).oneHot(5)
      }, "oneHot: index 5 is outside axis 1 of shape [2, 5]")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 3]).take(0, Tensor([0]))
      }, "take: indices of shape [1] are f32, expected i64")
  }
}

extension Tensor {
  /// The same elements through a transposed layout, where there are two axes.
  fileprivate func transposedBack() -> Tensor { rank < 2 ? self : transposed().copied().transposed() }
}
