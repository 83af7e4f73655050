/// Configurations come from files people have: sizes are checked while they are decoded, so that nothing allocates or
/// divides by what a broken file says.
extension KeyedDecodingContainer {
  /// A positive integer small enough to be the size of something.
  func decodeSize(_ key: Key, default fallback: Int? = nil) throws -> Int {
    let value: Int
    if let fallback {
      value = try decodeIfPresent(Int.self, forKey: key) ?? fallback
    } else {
      value = try decode(Int.self, forKey: key)
    }
    guard value > 0, value <= 1 << 24 else { throw corrupted(key, "is \(value), expected a positive size") }
    return value
  }

  func corrupted(_ key: Key, _ text: String) -> DecodingError {
    .dataCorrupted(.init(codingPath: codingPath + [key], debugDescription: "\(key.stringValue) \(text)"))
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
