import ConceptAttention
import Evaluation
import TestSupport
import Testing

/// A caller's mistake stops with a text that shows both sides.
@Suite struct MetricsMistakeTests {
  @Test func countsThatDoNotAgreeAreNamed() async {
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = ClassCounts(predicted: [0, 1, 1], target: [0, 1], classes: 2)
      }, "ClassCounts: 3 labels, 2 truths")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        var counts = ClassCounts(predicted: [0], target: [0], classes: 2)
        counts += ClassCounts(predicted: [0], target: [0], classes: 3)
      }, "ClassCounts: counts of 2 and 3 classes do not add up")
    expectTrapText(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = averagePrecision(scores: [0.5, 0.25], positives: [true])
      }, "averagePrecision: 2 scores, 1 truths")
  }
}
