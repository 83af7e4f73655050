import Synchronization

/// Parsed patterns by their text: programs use few, and use them in every layer of every step.
final class PatternCache<Pattern: Sendable>: Sendable {
  private let patterns = Mutex<[String: Pattern]>([:])

  /// The parsed `text`; `parse` runs on the first use.
  func pattern(_ text: String, _ parse: (String) -> Pattern) -> Pattern {
    if let known = patterns.withLock({ $0[text] }) { return known }
    let parsed = parse(text)
    patterns.withLock {
      // Patterns put together at run time must not pile up.
      if $0.count >= 1024 { $0.removeAll() }
      $0[text] = parsed
    }
    return parsed
  }
}
