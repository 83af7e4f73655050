// Swift compares strings by canonical equivalence; a vocabulary has to tell equivalent pieces apart.

/// A string that equals another only when both have the same UTF-8 bytes: 'é' and 'e' + U+0301 are two keys.
struct ExactString: Hashable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

  func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
  }
}
