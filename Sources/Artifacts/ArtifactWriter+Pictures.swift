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
  /// What is shown, in the order of `names`, `[frames, concepts, height, width]`: every frame of the average, and of the
  /// others the mean over the frames.
  let shown: [Tensor]

  init(_ maps: SaliencyMaps, picture: Int) {
    let all = maps.named.map { (name: $0.name, map: $0.map[picture] as Tensor) }
    concepts = maps.concepts
    names = all.map(\.name)
    shown = all.enumerated().map { index, kept in
      let frames = kept.map.transposed(0, 1)
      return index == 0 || maps.grid.frames == 1 ? frames.contiguous() : frames.mean(0, keepDims: true)
    }
    let values = all.map { ($0.name, (maps.grid.frames == 1 ? $0.map[.all, 0] : $0.map).contiguous()) }
    tensors = Dictionary(values) { first, _ in first }
  }

  /// `[frames, concepts, height, width]`
  var average: Tensor { shown[0] }
}

/// What the colours of one concept's map stand for.
struct ConceptRange {
  let concept: String
  let range: ClosedRange<Float>
}

/// One concept's map in colour.
struct Rendering {
  /// `u8`, `[height, width, 3]`
  let heatmap, overlay: Tensor
}

extension ArtifactWriter {
  func ranges(of maps: RunMaps) -> [ConceptRange] {
    let ranges = maps.concepts.indices.map { valueRange(maps.average[.all, $0]) }
    let lowest = ranges.map(\.lowerBound).min() ?? 0
    let highest = ranges.map(\.upperBound).max() ?? 0
    return zip(maps.concepts, ranges).map {
      ConceptRange(concept: $0, range: scaling == .shared ? lowest...highest : $1)
    }
  }

  /// - Parameter map: `[height, width]`
  func rendering(of map: Tensor, _ range: ClosedRange<Float>, over image: Tensor) -> Rendering {
    // Bicubic curves swing beyond the values between which they pass; the colour map holds them to the range.
    let map = map.resized(height: image.shape[0], width: image.shape[1], mode: .bicubic, antialias: true)
    let heatmap = colorMap(map, range: range)
    return Rendering(heatmap: heatmap, overlay: blended(image, heatmap))
  }

  /// A concept's cell of the contact sheet, with the picture as small as it is shown: of one rendering after the other
  /// nothing else stays in memory.
  func cell(_ rendering: Rendering, _ concept: ConceptRange, layout: ContactSheet.Layout) -> ContactSheet.Cell {
    let (low, high) = (shortNumber(concept.range.lowerBound), shortNumber(concept.range.upperBound))
    let shown = rendering.overlay.resizedImage(height: layout.cellHeight, width: layout.cellWidth, filter: .bicubic)
    return ContactSheet.Cell(shown, caption: concept.concept, detail: "\(low) to \(high), \(colorMap)")
  }

  func metadataJSON(
    title: String, maps: RunMaps, _ ranges: [ConceptRange], footage: Footage, files: [String], run: some Encodable,
    id: RunID
  ) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    let concepts = zip(ranges, FileNames.stems(maps.concepts)).map { shown, stem in
      ConceptDescription(
        name: shown.concept, minimum: shown.range.lowerBound, maximum: shown.range.upperBound,
        heatmap: "heatmap-\(stem).png", overlay: "overlay-\(stem).png")
    }
    let description = RunDescription(
      title: title, runId: id.run, imageId: id.image, concepts: concepts, maps: maps.names, colorMap: colorMap,
      scaling: scaling, mapFrames: footage.isVideo ? footage.mapFrames : nil,
      framesPerSecond: footage.isVideo ? footage.framesPerSecond : nil, files: files, run: run)
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
  /// See `RunID`.
  let runId, imageId: String
  let concepts: [ConceptDescription]
  let maps: [String]
  let colorMap: ColorMap
  let scaling: MapScaling
  /// Of a video: the frame of the maps that belongs to each of its frames.
  let mapFrames: [Int]?
  let framesPerSecond: Double?
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
