import Glibc

extension Tensor: CustomStringConvertible, CustomDebugStringConvertible {
  /// One line: shape, dtype and, over the finite elements, mean, standard deviation (of the population), minimum and
  /// maximum; how many elements are NaN or infinite, if any. Looks at every element.
  ///
  ///     Tensor [4608, 3072] bf16: mean 0.0012, std 0.98, min -4.53, max 4.61, 3 NaN
  public var description: String {
    let statistics = Statistics(self)
    var parts: [String] = []
    if statistics.finite == 1, count == 1 {
      parts.append(Tensor.formatted(statistics.minimum, "%.6g"))
    } else if statistics.finite > 0 {
      let figures = [
        ("mean", statistics.mean), ("std", statistics.deviation), ("min", statistics.minimum),
        ("max", statistics.maximum),
      ]
      parts = figures.map { "\($0.0) \(Tensor.formatted($0.1, "%.4g"))" }
    }
    if statistics.notNumbers > 0 { parts.append("\(statistics.notNumbers) NaN") }
    if statistics.infinite > 0 { parts.append("\(statistics.infinite) infinite") }
    if count == 0 { parts.append("empty") }
    return "Tensor \(shape) \(dtype): " + parts.joined(separator: ", ")
  }

  /// `description` and the elements, as `details()` prints them.
  public var debugDescription: String { description + "\n" + details() }

  /// The elements as NumPy prints them: nested brackets, columns aligned, long axes shortened to their ends.
  ///
  /// - Parameters:
  ///   - edgeItems: positions shown at each end of an axis that is shortened
  ///   - threshold: number of elements up to which nothing is shortened
  ///   - precision: digits after the point
  public func details(edgeItems: Int = 3, threshold: Int = 1000, precision: Int = 4) -> String {
    guard edgeItems > 0, precision >= 0 else {
      tensorFailure("details: edgeItems \(edgeItems), precision \(precision) for shape \(shape)")
    }
    let positions = shape.map { extent -> [Int?] in
      guard count > threshold, extent > 2 * edgeItems else { return (0..<extent).map { $0 } }
      return (0..<edgeItems).map { $0 } + [nil] + ((extent - edgeItems)..<extent).map { $0 }
    }
    var shown = self
    for (axis, kept) in positions.enumerated() where kept.contains(nil) {
      let ends = [0, shape[axis] - edgeItems].map { shown.narrow(axis, from: $0, count: edgeItems) }
      shown = concatenated(ends, axis: axis)
    }
    let texts = shown.elementTexts(precision)
    let width = texts.lazy.map(\.utf8.count).max() ?? 0
    let padded = texts.map { String(repeating: " ", count: width - $0.utf8.count) + $0 }
    var next = padded.makeIterator()
    return nested(positions[...], indent: 1) { next.next() ?? "" }
  }

  private func nested(_ positions: ArraySlice<[Int?]>, indent: Int, _ next: () -> String) -> String {
    guard let first = positions.first else { return next() }
    let rest = positions.dropFirst()
    let items = first.map { $0 == nil ? "..." : nested(rest, indent: indent + 1, next) }
    if rest.isEmpty { return "[" + items.joined(separator: ", ") + "]" }
    // One blank line more between the entries of every further outer axis.
    let line = "," + String(repeating: "\n", count: rest.count) + String(repeating: " ", count: indent)
    return "[" + items.joined(separator: line) + "]"
  }

  /// Every element's text, in one style: whole numbers, decimals, or powers of ten where decimals would hide digits.
  private func elementTexts(_ precision: Int) -> [String] {
    switch dtype {
    case .bool: return scalars(as: Bool.self).map { "\($0)" }
    case .i64: return scalars(as: Int64.self).map { "\($0)" }
    case .u64: return scalars(as: UInt64.self).map { "\($0)" }
    default: break
    }
    var values: [Double] = []
    forEachBlock { values.append(contentsOf: $0) }
    guard dtype.isFloatingPoint else { return values.map { "\(Int($0))" } }
    let magnitudes = values.filter { $0.isFinite && $0 != 0 }.map(abs)
    let (least, greatest) = (magnitudes.min() ?? 1, magnitudes.max() ?? 1)
    let style: String
    if greatest >= 1e8 || least < 1e-4 || greatest / least > 1e5 {
      style = "%.\(precision)e"
    } else if magnitudes.allSatisfy({ $0 == $0.rounded() }) {
      style = "%.0f."
    } else {
      style = "%.\(precision)f"
    }
    return values.map { $0.isFinite ? Tensor.formatted($0, style) : $0.isNaN ? "nan" : $0 < 0 ? "-inf" : "inf" }
  }

  /// `value` through `printf`, whose formats the standard library does not have.
  private static func formatted(_ value: Double, _ format: String) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
      let length = withVaList([value]) { vsnprintf(buffer.baseAddress, buffer.count, format, $0) }
      let written = buffer.prefix(max(0, min(Int(length), buffer.count - 1)))
      return String(decoding: written.lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
}

/// What one line can say about the elements.
private struct Statistics {
  private(set) var finite = 0, infinite = 0, notNumbers = 0
  private(set) var minimum = Double.infinity, maximum = -Double.infinity
  private(set) var mean = 0.0
  private var squares = 0.0  // sum of squared distances from the mean

  var deviation: Double { finite == 0 ? .nan : (squares / Double(finite)).squareRoot() }

  init(_ tensor: Tensor) { tensor.forEachBlock { add($0) } }

  /// Merges the moments of one block (Chan, Golub, LeVeque 1979): exact even where the mean is far from zero.
  private mutating func add(_ block: UnsafeBufferPointer<Double>) {
    var count = 0, sum = 0.0
    for value in block {
      guard value.isFinite else {
        if value.isNaN { notNumbers += 1 } else { infinite += 1 }
        continue
      }
      count += 1
      sum += value
      minimum = min(minimum, value)
      maximum = max(maximum, value)
    }
    guard count > 0 else { return }
    let blockMean = sum / Double(count), total = finite + count, distance = blockMean - mean
    let own = block.reduce(0.0) { $1.isFinite ? $0 + ($1 - blockMean) * ($1 - blockMean) : $0 }
    squares += own + distance * distance * Double(finite) * Double(count) / Double(total)
    mean += distance * Double(count) / Double(total)
    finite = total
  }
}
