import Foundation

/// Masks as COCO's annotations have them, painted by the rules of pycocotools: column by column, starting with zeros.
///
/// Source: cocodataset/cocoapi `common/maskApi.c`.
enum COCOMask {
  /// A run that is painted: pixels `start ..< start + count` in the order of columns.
  typealias Runs = [Int]

  /// Run lengths from their compressed text.
  ///
  /// - Returns: nil for a text that is none
  static func runs(compressed text: String) -> Runs? {
    var runs: Runs = []
    var value = 0, shift = 0
    for byte in text.utf8 {
      guard (48...111).contains(byte), shift < 60 else { return nil }
      let bits = Int(byte) - 48
      value |= (bits & 0x1F) << shift
      shift += 5
      if bits & 0x20 != 0 { continue }
      if bits & 0x10 != 0 { value |= -1 << shift }
      if runs.count > 2 { value = value &+ runs[runs.count - 2] }
      guard value >= 0 else { return nil }
      runs.append(value)
      (value, shift) = (0, 0)
    }
    return shift == 0 ? runs : nil
  }

  /// Run lengths of a polygon: x, y, x, y … in pixels.
  ///
  /// - Returns: nil for a polygon that is none, lies absurdly far outside, or goes to and fro without end
  static func runs(polygon: [Double], height: Int, width: Int) -> Runs? {
    let far = 4 * Double(max(height, width, 64))
    guard polygon.count >= 6, polygon.count % 2 == 0, polygon.allSatisfy({ abs($0) < far }) else { return nil }
    let corners = polygon.count / 2
    func corner(_ index: Int) -> (x: Int, y: Int) {
      let at = index % corners * 2
      return (Int(5 * polygon[at] + 0.5), Int(5 * polygon[at + 1] + 0.5))
    }
    let length = (0..<corners).reduce(0) { length, index in
      let (from, to) = (corner(index), corner(index + 1))
      return length + max(abs(to.x - from.x), abs(to.y - from.y)) + 1
    }
    guard length <= 1 << 22 else { return nil }
    var boundary: [(u: Int, v: Int)] = []
    for index in 0..<corners { edge(corner(index), corner(index + 1), &boundary) }
    var starts: [Int] = []
    for (before, point) in zip(boundary, boundary.dropFirst()) where point.u != before.u {
      let x = (Double(point.u < before.u ? point.u : point.u - 1) + 0.5) / 5 - 0.5
      guard x.rounded(.down) == x, x >= 0, x <= Double(width - 1) else { continue }
      let y = (Double(min(point.v, before.v)) + 0.5) / 5 - 0.5
      starts.append(Int(x) * height + Int(min(max(y, 0), Double(height)).rounded(.up)))
    }
    starts.sort()
    starts.append(height * width)
    return lengths(starts)
  }

  /// The points of an edge, five to a pixel, in the order of the boundary.
  private static func edge(_ from: (x: Int, y: Int), _ to: (x: Int, y: Int), _ points: inout [(u: Int, v: Int)]) {
    var (start, end) = (from, to)
    let dx = abs(end.x - start.x), dy = abs(end.y - start.y)
    let flips = dx >= dy && start.x > end.x || dx < dy && start.y > end.y
    if flips { swap(&start, &end) }
    let isFlat = dx >= dy, length = max(dx, dy)
    let slope = length == 0 ? 0 : isFlat ? Double(end.y - start.y) / Double(dx) : Double(end.x - start.x) / Double(dy)
    for step in 0...length {
      let t = flips ? length - step : step
      if isFlat {
        points.append((t + start.x, Int(Double(start.y) + slope * Double(t) + 0.5)))
      } else {
        points.append((Int(Double(start.x) + slope * Double(t) + 0.5), t + start.y))
      }
    }
  }

  /// Where the boundary crosses, as lengths of runs; runs of nothing join their neighbours.
  private static func lengths(_ positions: [Int]) -> Runs {
    var steps = positions
    for index in stride(from: steps.count - 1, to: 0, by: -1) { steps[index] -= positions[index - 1] }
    var runs = [steps[0]], index = 1
    while index < steps.count {
      if steps[index] > 0 {
        runs.append(steps[index])
      } else {
        index += 1
        if index < steps.count { runs[runs.count - 1] += steps[index] }
      }
      index += 1
    }
    return runs
  }

  /// Paints runs into a mask that is stored row by row.
  static func paint(_ runs: Runs, _ number: UInt16, height: Int, width: Int, _ mask: inout [UInt16]) {
    var position = 0
    for (index, count) in runs.enumerated() {
      if index % 2 == 1 {
        for place in position..<min(position + count, height * width) {
          mask[place % height * width + place / height] = number
        }
      }
      position += count
    }
  }
}
