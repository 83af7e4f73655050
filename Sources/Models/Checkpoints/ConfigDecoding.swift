/// What the numbers of a configuration may be: far more than any model has, and little enough that products of a few of
/// them neither overflow nor take long.
enum ConfigLimit {
  /// Widths of layers, heads and states.
  static let width = 1 << 16
  /// Blocks, or layers of an encoder.
  static let layers = 1000
  static let heads = 1 << 10
  static let headDim = 1 << 12
  /// Rows of an embedding table.
  static let vocabulary = 1 << 22
  /// Of a picture or of latents, along one side.
  static let side = 1 << 16
}

/// Configurations come from files people have: numbers are checked while they are decoded, so that nothing allocates,
/// multiplies or divides by what a broken file says.
extension KeyedDecodingContainer {
  /// An integer from 1 to `limit`.
  func decodeSize(_ key: Key, atMost limit: Int, default fallback: Int? = nil) throws -> Int {
    try decodeInteger(key, in: 1...limit, default: fallback)
  }

  /// An integer of a range.
  func decodeInteger(_ key: Key, in range: ClosedRange<Int>, default fallback: Int? = nil) throws -> Int {
    let value: Int
    if let fallback {
      value = try decodeIfPresent(Int.self, forKey: key) ?? fallback
    } else {
      value = try decode(Int.self, forKey: key)
    }
    guard range.contains(value) else {
      throw corrupted(key, "\(value), expected \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// A number of a range that is one in single precision too.
  func decodeNumber(_ key: Key, in range: ClosedRange<Float>, default fallback: Float) throws -> Float {
    // Decoded as Double, for a Float may come as infinity from a number that it has no room for.
    let value = try decodeIfPresent(Double.self, forKey: key) ?? Double(fallback)
    guard range.contains(Float(value)) else {
      throw corrupted(key, "\(value), expected \(range.lowerBound) to \(range.upperBound)")
    }
    return Float(value)
  }

  /// A list of integers of a range, with a bounded number of entries.
  func decodeList(
    _ key: Key, of range: ClosedRange<Int>, count: ClosedRange<Int>, default fallback: [Int]? = nil
  ) throws -> [Int] {
    let list: [Int]
    if let fallback {
      list = try decodeIfPresent([Int].self, forKey: key) ?? fallback
    } else {
      list = try decode([Int].self, forKey: key)
    }
    guard count.contains(list.count) else {
      let expected = count.count == 1 ? "\(count.lowerBound)" : "\(count.lowerBound) to \(count.upperBound)"
      throw corrupted(key, "\(list.count) entries, expected \(expected)")
    }
    if let wrong = list.first(where: { !range.contains($0) }) {
      throw corrupted(key, "entry \(wrong), expected \(range.lowerBound) to \(range.upperBound)")
    }
    return list
  }

  /// `text` says what was found and what was expected; the error's `summary` names the key.
  func corrupted(_ key: Key, _ text: String) -> DecodingError {
    .dataCorrupted(.init(codingPath: codingPath + [key], debugDescription: text))
  }
}

extension DecodingError {
  /// One line: where and what.
  package var summary: String {
    func place(_ context: Context) -> String {
      let path = context.codingPath.map(\.stringValue).joined(separator: ".")
      return path.isEmpty ? "" : "'\(path)': "
    }
    switch self {
    case .keyNotFound(let key, _): return "'\(key.stringValue)' is missing"
    case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
      return "\(place(context))expected \(type)"
    case .dataCorrupted(let context): return place(context) + context.debugDescription
    @unknown default: return "\(self)"
    }
  }
}
