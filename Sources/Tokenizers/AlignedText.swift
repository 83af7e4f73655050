// Text on its way through a tokenizer: every scalar remembers which part of the prompt it came from, so that tokens can
// be traced back to words after lower-casing, composition and character maps.

/// Scalars and, for each, the UTF-8 offsets of the prompt that it stands for.
package struct AlignedText: Sendable {
  package private(set) var scalars: [Unicode.Scalar] = []
  package private(set) var sources: [Range<Int>] = []

  package init() {}

  package init(_ text: String) {
    scalars.reserveCapacity(text.utf8.count)
    sources.reserveCapacity(text.utf8.count)
    var offset = 0
    for scalar in text.unicodeScalars {
      let end = offset + UTF8.width(scalar)
      append(scalar, from: offset..<end)
      offset = end
    }
  }

  package var count: Int { scalars.count }
  package var isEmpty: Bool { scalars.isEmpty }

  /// The scalars as a string, for grapheme segmentation and messages.
  package var string: String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  subscript(range: Range<Int>) -> AlignedText {
    var slice = AlignedText()
    slice.scalars = Array(scalars[range])
    slice.sources = Array(sources[range])
    return slice
  }

  mutating func append(_ scalar: Unicode.Scalar, from source: Range<Int>) {
    scalars.append(scalar)
    sources.append(source)
  }

  /// The part of the prompt that the scalars in `range` stand for; nil for none.
  func source(of range: Range<Int>) -> Range<Int>? {
    guard !range.isEmpty else { return nil }
    let lower = sources[range].lazy.map(\.lowerBound).min() ?? 0
    let upper = sources[range].lazy.map(\.upperBound).max() ?? lower
    return lower..<upper
  }
}

extension UTF8 {
  /// How many bytes a scalar takes.
  static func width(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case ..<0x80: 1
    case ..<0x800: 2
    case ..<0x10000: 3
    default: 4
    }
  }
}
