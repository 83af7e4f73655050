import Tensor
import TestSupport
import Testing

@Suite struct RearrangeTests {
  private let x = TestRandom(1).with { $0.tensor([2, 3, 12]) }  // b l (k h d)

  @Test func splitsAndReordersAsTheReferencesWriteIt() {
    for view in oddViews(of: x) {
      let heads = view.rearranged("b l (k h d) -> k b h l d", ["k": 3, "h": 2])
      #expect(heads.isIdentical(to: x.reshaped(2, 3, 3, 2, 2).permuted(2, 0, 3, 1, 4)))
      let merged = heads.rearranged("k b h l d -> b l (k h d)")
      #expect(merged.isIdentical(to: x))
      #expect(view.rearranged("b l d -> (l b) d").isIdentical(to: x.transposed(0, 1).reshaped(6, 12)))
    }
  }

  @Test func patchesBecomeTokens() {
    let image = TestRandom(2).with { $0.tensor([1, 2, 4, 6]) }
    let tokens = image.rearranged("b c (h p) (w q) -> b (h w) (c p q)", ["p": 2, "q": 2])
    let expected = Plain(shape: [1, 6, 8]) { position in
      let (h, w) = (position[1] / 3, position[1] % 3)
      let (c, p, q) = (position[2] / 4, position[2] / 2 % 2, position[2] % 2)
      return Plain(image)[[0, c, 2 * h + p, 2 * w + q]]
    }
    #expect(tokens.shape == expected.shape && Plain(tokens).values == expected.values)
    #expect(
      tokens.rearranged("b (h w) (c p q) -> b c (h p) (w q)", ["h": 2, "p": 2, "q": 2]).isIdentical(to: image))
  }

  @Test func ellipsisStandsForAnyAxes() {
    #expect(x.rearranged("... d -> d ...").isIdentical(to: x.movedAxis(-1, to: 0)))
    #expect(x.rearranged("b ... -> ... b").isIdentical(to: x.movedAxis(0, to: -1)))
    #expect(x.rearranged("b ... -> (...) b").isIdentical(to: x.movedAxis(0, to: -1).reshaped(36, 2)))
    #expect(x.rearranged("b l d ... -> d ... l b").isIdentical(to: x.permuted(2, 1, 0)))
    #expect(Tensor(5).rearranged("... -> ... 1").shape == [1])
    #expect(Tensor(5).rearranged("->").item == 5)
  }

  @Test func onesAreAddedAndDropped() {
    let y = x.rearranged("b l d -> b 1 l d 1")
    #expect(y.shape == [2, 1, 3, 12, 1])
    #expect(y.rearranged("b 1 l d () -> b (1 l) d").isIdentical(to: x))
    #expect(x.rearranged("b l d -> () b l d").shape == [1, 2, 3, 12])
  }

  @Test func emptyAxesKeepTheirPlaces() {
    let y = Tensor(zeros: [0, 6]).rearranged("n (a b) -> b n a", ["a": 2])
    #expect(y.shape == [3, 0, 2])
    #expect(Tensor(zeros: [0, 6]).rearranged("n m -> (n m)").shape == [0])
  }

  @Test func repeatingAddsAxes() {
    let y = x.repeated("b l d -> b (l r) d s", ["r": 2, "s": 3])
    let expected = Plain(shape: [2, 6, 12, 3]) { Plain(x)[[$0[0], $0[1] / 2, $0[2]]] }
    #expect(y.shape == expected.shape && Plain(y).values == expected.values)
    #expect(Tensor([1, 2]).repeated("n -> (2 n)").floats == [1, 2, 1, 2])
    #expect(Tensor([1, 2]).repeated("n -> (n 2)").floats == [1, 1, 2, 2])
  }

  @Test func mistakesAreNamed() async {
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 7]).rearranged("a (b c) -> a b c", ["b": 2])
      }, "'a (b c) -> a b c' does not split extent 7 by 2; shape [2, 7]")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 7]).rearranged("a b -> a")
      }, "loses axis 'b' of the left side")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 7]).rearranged("a b -> a b c", ["c": 2])
      }, "has no axis 'c' on its left side")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor(zeros: [2, 7]).rearranged("a b c -> c b a")
      }, "has 3 axes on its left side; shape [2, 7]")
  }
}

extension TestRandom {
  /// A value drawn from a generator that nobody else needs.
  func with<Value>(_ draw: (inout TestRandom) -> Value) -> Value {
    var copy = self
    return draw(&copy)
  }
}
