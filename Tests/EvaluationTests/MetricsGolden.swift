import ConceptAttention
import Evaluation
import Tensor
import TestSupport
import Testing

/// The golden cases of segmentation metrics, computed with scikit-learn.

func averagePrecisionCase(_ golden: GoldenCase) throws -> [String: Tensor] {
  let inputs = try golden.inputs()
  let scores = try #require(inputs["score"]).floats, truth = try #require(inputs["truth"]).floats
  return ["ap": doubles([averagePrecision(scores: scores, positives: truth.map { $0 != 0 })])]
}

func imageAveragePrecisionCase(_ golden: GoldenCase) throws -> [String: Tensor] {
  let inputs = try golden.inputs()
  let scores = try #require(inputs["scores"]), target = try #require(inputs["target"])
  let precisions = (0..<scores.shape[0]).map {
    averagePrecision(classScores: scores[$0].floats, target: target[$0].floats.map { Int($0) })
  }
  return ["ap": doubles(precisions)]
}

func classCountsCase(_ golden: GoldenCase) throws -> [String: Tensor] {
  let inputs = try golden.inputs()
  let counts = ClassCounts(
    predicted: try #require(inputs["pred"]).floats.map { Int($0) },
    target: try #require(inputs["target"]).floats.map { Int($0) }, classes: try #require(golden.config.classes.int))
  return [
    "correct": doubles([Double(counts.correct)]), "labelled": doubles([Double(counts.labelled)]),
    "pixel_accuracy": doubles([counts.accuracy]), "intersection": doubles(counts.intersection.map(Double.init)),
    "union": doubles(counts.union.map(Double.init)), "iou": doubles(counts.intersectionOverUnion),
    "miou": doubles([counts.meanIntersectionOverUnion]),
  ]
}

func binarySegmentationCase(_ golden: GoldenCase) throws -> [String: Tensor] {
  let inputs = try golden.inputs()
  let maps = try #require(inputs["maps"]), targets = try #require(inputs["targets"])
  var segmentation = BinarySegmentation()
  let masks = (0..<maps.shape[0]).map { segmentation.add(map: maps[$0], mask: targets[$0]) }
  return [
    "masks": stacked(masks), "pixel_accuracy": doubles([segmentation.counts.accuracy]),
    "iou": doubles(segmentation.counts.intersectionOverUnion),
    "miou": doubles([segmentation.counts.meanIntersectionOverUnion]),
    "ap_per_image": doubles(segmentation.averagePrecisions), "map": doubles([segmentation.meanAveragePrecision]),
  ]
}

private func doubles(_ values: [Double]) -> Tensor { Tensor(scalars: values, shape: [values.count]) }
