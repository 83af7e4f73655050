/// One axis of bilinear scaling with half-pixel centres, ends clamped, no smoothing when it shrinks.
///
/// Source: PyTorch `interpolate(mode="bilinear", align_corners=False)`.
private struct BilinearAxis {
  let low, high: [Int]
  /// The weight of `high`.
  let part: [Double]

  init(from count: Int, to target: Int) {
    let places = (0..<target).map { max((Double($0) + 0.5) * Double(count) / Double(target) - 0.5, 0) }
    low = places.map { min(Int($0), count - 1) }
    high = low.map { min($0 + 1, count - 1) }
    part = zip(places, low).map { $0 - Double($1) }
  }
}

/// Maps scaled to a picture's size, row by row as they are needed: all of them at that size never exist.
struct ResizedMaps {
  let maps: ConceptMaps
  let height, width: Int
  private let rows, columns: BilinearAxis

  init(_ maps: ConceptMaps, height: Int, width: Int) {
    self.maps = maps
    self.height = height
    self.width = width
    rows = BilinearAxis(from: maps.height, to: height)
    columns = BilinearAxis(from: maps.width, to: width)
  }

  /// Writes a row of a concept's map.
  ///
  /// - Parameters:
  ///   - scratch: room for a row of the small map
  ///   - target: room for `width` values
  func write(
    row: Int, of concept: Int, _ scratch: UnsafeMutablePointer<Double>, to target: UnsafeMutablePointer<Double>
  ) {
    let part = rows.part[row], rest = 1 - part, count = maps.width
    maps.values.withUnsafeBufferPointer { values in
      guard let base = values.baseAddress else { return }
      let upper = base + (concept * maps.height + rows.low[row]) * count
      let lower = base + (concept * maps.height + rows.high[row]) * count
      for x in 0..<count { scratch[x] = upper[x] * rest + lower[x] * part }
    }
    columns.low.withUnsafeBufferPointer { low in
      columns.high.withUnsafeBufferPointer { high in
        columns.part.withUnsafeBufferPointer { part in
          for x in 0..<width { target[x] = scratch[low[x]] * (1 - part[x]) + scratch[high[x]] * part[x] }
        }
      }
    }
  }

  /// A whole map.
  func plane(of concept: Int) -> [Double] {
    [Double](unsafeUninitializedCapacity: height * width) { plane, count in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: maps.width) { scratch in
        if let scratch = scratch.baseAddress, let plane = plane.baseAddress {
          for row in 0..<height { write(row: row, of: concept, scratch, to: plane + row * width) }
        }
      }
      count = height * width
    }
  }

  /// The concept with the largest value of every pixel, the first of equal ones.
  ///
  /// - Parameter isSure: nil, or where to note whether the softmax over the concepts gives it at least `threshold`
  func largest(threshold: Double?) -> (concepts: [UInt16], isSure: [Bool]) {
    let count = maps.concepts.count, size = height * width
    var best = [UInt16](repeating: 0, count: size), isSure = [Bool](repeating: true, count: threshold == nil ? 0 : size)
    withUnsafeTemporaryAllocation(of: Double.self, capacity: maps.width + (count + 2) * width) { room in
      guard let scratch = room.baseAddress else { return }
      let planes = scratch + maps.width, top = planes + count * width, sums = top + width
      for row in 0..<height {
        for concept in 0..<count { write(row: row, of: concept, scratch, to: planes + concept * width) }
        top.update(from: planes, count: width)
        best.withUnsafeMutableBufferPointer { best in
          guard let line = best.baseAddress.map({ $0 + row * width }) else { return }
          for concept in 1..<max(count, 1) {
            let plane = planes + concept * width
            for x in 0..<width where plane[x] > top[x] {
              top[x] = plane[x]
              line[x] = UInt16(truncatingIfNeeded: concept)
            }
          }
        }
        guard let threshold else { continue }
        sums.update(repeating: 0, count: width)
        for concept in 0..<count {
          let plane = planes + concept * width
          for x in 0..<width { sums[x] += exponential(plane[x] - top[x]) }
        }
        for x in 0..<width { isSure[row * width + x] = 1 / sums[x] >= threshold }
      }
    }
    return (best, isSure)
  }
}

/// e to a power that is at most 0, to the last bit or two, without branches or calls.
@inline(__always)
private func exponential(_ power: Double) -> Double {
  let x = max(power, -700)  // what is smaller adds nothing to 1
  let shifted = x * 1.442695040888963407 + 0x1.8p52, whole = shifted - 0x1.8p52
  let rest = x - whole * 0x1.62e42fee00000p-1 - whole * 0x1.a39ef35793c76p-33
  var sum = 1.0 / 479_001_600
  sum = sum * rest + 1.0 / 39_916_800
  sum = sum * rest + 1.0 / 3_628_800
  sum = sum * rest + 1.0 / 362_880
  sum = sum * rest + 1.0 / 40_320
  sum = sum * rest + 1.0 / 5040
  sum = sum * rest + 1.0 / 720
  sum = sum * rest + 1.0 / 120
  sum = sum * rest + 1.0 / 24
  sum = sum * rest + 1.0 / 6
  sum = sum * rest + 0.5
  sum = sum * rest + 1
  sum = sum * rest + 1
  return sum * Double(bitPattern: (shifted.bitPattern &+ 1023) << 52)
}
