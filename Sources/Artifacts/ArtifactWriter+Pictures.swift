// What a run's files are made of: the values of one picture's maps, and their renderings.

import ConceptAttention
import Foundation
import NN
import Tensor

/// The maps of one picture, under the names they have in files.
struct RunMaps {
  let concepts: [String]
  /// `average`, then layers, steps and heads by number.
  let names: [String]
  /// `[concepts, height, width]`, or `[concepts, frames, height, width]` of several frames.
  let tensors: [String: Tensor]
  /// One frame, `[concepts, height, width]`, in the order of `names`.
  let shown: [Tensor]

  init(_ maps: SaliencyMaps, picture: Int, frame: Int) {
    let all = maps.named
    concepts = maps.concepts
    names = all.map(\.name)
    shown = all.map { $0.map[picture, .all, frame] as Tensor }
    let values = all.map { name, map in
      (name, maps.grid.frames == 1 ? map[picture, .all, 0] as Tensor : map[picture] as Tensor)
    }
    tensors = Dictionary(values.map { ($0.0, $0.1.contiguous()) }) { first, _ in first }
  }

  /// The average of one frame, `[concepts, height, width]`.
  var average: Tensor { shown[0] }
}

/// One concept's map in colour.
struct Rendering {
  let concept: String
  let range: ClosedRange<Float>
  /// `u8`, `[height, width, 3]`
  let heatmap, overlay: Tensor
}

extension ArtifactWriter {
  func renderings(of maps: RunMaps, over image: Tensor) -> [Rendering] {
    let ranges = maps.concepts.indices.map { valueRange(maps.average[$0]) }
    let lowest = ranges.map(\.lowerBound).min() ?? 0
    let highest = ranges.map(\.upperBound).max() ?? 0
    return maps.concepts.enumerated().map { index, concept in
      let range = scaling == .shared ? lowest...highest : ranges[index]
      // Bicubic curves swing beyond the values between which they pass; the colour map holds them to the range.
      let map = maps.average[index].resized(
        height: image.shape[0], width: image.shape[1], mode: .bicubic, antialias: true)
      let heatmap = colorMap(map, range: range)
      return Rendering(concept: concept, range: range, heatmap: heatmap, overlay: blended(image, heatmap))
    }
  }

  func contactSheet(_ image: Tensor, _ renderings: [Rendering], title: String) -> ContactSheet {
    let size = "\(image.shape[1]) x \(image.shape[0])"
    let cells = renderings.map { rendering in
      let (low, high) = (shortNumber(rendering.range.lowerBound), shortNumber(rendering.range.upperBound))
      return ContactSheet.Cell(rendering.overlay, caption: rendering.concept, detail: "\(low) to \(high), \(colorMap)")
    }
    return ContactSheet(title: title, cells: [.init(image, caption: "picture", detail: size)] + cells)
  }

  func metadataJSON(
    title: String, maps: RunMaps, _ renderings: [Rendering], files: [String], run: some Encodable
  ) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    let concepts = zip(renderings, FileNames.stems(maps.concepts)).map { rendering, stem in
      ConceptDescription(
        name: rendering.concept, minimum: rendering.range.lowerBound, maximum: rendering.range.upperBound,
        heatmap: "heatmap-\(stem).png", overlay: "overlay-\(stem).png")
    }
    let description = RunDescription(
      title: title, concepts: concepts, maps: maps.names, colorMap: colorMap, scaling: scaling, files: files, run: run)
    return try Array(encoder.encode(description))
  }

  private func blended(_ image: Tensor, _ heatmap: Tensor) -> Tensor {
    let opacity = Self.overlayOpacity
    let bytes = zip(image.scalars(as: UInt8.self), heatmap.scalars(as: UInt8.self)).map { below, above in
      UInt8((Float(below) * (1 - opacity) + Float(above) * opacity).rounded())
    }
    return Tensor(scalars: bytes, shape: image.shape)
  }

  /// The range of the finite values; 0 to 0 when there are none.
  private func valueRange(_ map: Tensor) -> ClosedRange<Float> {
    let values = map.floats.filter(\.isFinite)
    guard let low = values.min(), let high = values.max() else { return 0...0 }
    return low...high
  }
}

private struct ConceptDescription: Encodable {
  let name: String
  /// The values that take the ends of the colour map.
  let minimum, maximum: Float
  let heatmap, overlay: String
}

/// `metadata.json`
private struct RunDescription<Run: Encodable>: Encodable {
  let title: String
  let concepts: [ConceptDescription]
  let maps: [String]
  let colorMap: ColorMap
  let scaling: MapScaling
  let files: [String]
  let run: Run
}

/// A number with four significant digits, as JSON; `null` for what is no number.
func shortNumber(_ value: Float) -> String {
  guard value.isFinite else { return "null" }
  guard value != 0 else { return "0" }
  let digits = 3 - Int(log10(abs(Double(value))).rounded(.down))
  let factor = pow(10, Double(digits))
  guard factor.isFinite else { return "0" }
  let rounded = digits >= 0 ? (Double(value) * factor).rounded() / factor : Double(value).rounded()
  let text = "\(rounded)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
