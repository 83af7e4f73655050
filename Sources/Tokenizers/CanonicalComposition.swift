// Unicode normalisation form C, as the reference tokenizer has it.

/// Composes text canonically (NFC), keeping track of where it came from.
///
/// The reference (Rust crate unicode-normalization-alignments) knows the characters of Unicode 9; later ones pass
/// unchanged and separate what stands left and right of them. Foundation's composition is not used: it leaves a Hangul
/// syllable and a following final consonant apart, and would need all of Foundation.
package enum CanonicalComposition {
  package static func compose(_ text: AlignedText) -> AlignedText {
    // Below U+0300 nothing combines and everything is composed already.
    guard text.scalars.contains(where: { $0.value >= 0x300 }) else { return text }
    var result = AlignedText()
    var start = 0
    while start < text.count {
      var end = start + 1
      while end < text.count, joins(text.scalars[end]) { end += 1 }
      append(text, start..<end, to: &result)
      start = end
    }
    return result
  }

  /// Whether a scalar may combine with, or move in front of, the one before it.
  private static func joins(_ scalar: Unicode.Scalar) -> Bool {
    guard scalar.value >= 0x300 else { return false }
    if combiningClass(scalar) != 0 || Table.shared.seconds.contains(scalar) || Hangul.isVowelOrFinal(scalar) {
      return true
    }
    // Three Tibetan vowel signs are starters that decompose into marks.
    guard let first = Table.shared.decompositions[scalar]?.first else { return false }
    return combiningClass(first) != 0
  }

  private static func combiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
    let properties = scalar.properties
    guard scalar.value >= 0x300, let age = properties.age, age.major <= 9 else { return 0 }
    return properties.canonicalCombiningClass.rawValue
  }

  /// Appends one starter and what follows it, composed. Where that changes anything the whole stretch is the source.
  private static func append(_ text: AlignedText, _ range: Range<Int>, to result: inout AlignedText) {
    let original = text.scalars[range]
    if range.count == 1, let only = original.first, Table.shared.decompositions[only] == nil {
      result.append(only, from: text.sources[range.lowerBound])
      return
    }
    let composed = composed(ordered(original.flatMap(decomposed)))
    if composed.elementsEqual(original) {
      for index in range { result.append(text.scalars[index], from: text.sources[index]) }
    } else if let source = text.source(of: range) {
      for scalar in composed { result.append(scalar, from: source) }
    }
  }

  private static func decomposed(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
    if let parts = Hangul.decomposed(scalar) { return parts }
    guard let parts = Table.shared.decompositions[scalar] else { return [scalar] }
    return parts.flatMap(decomposed)
  }

  /// Sorts runs of combining marks by class, marks of one class keeping their order.
  private static func ordered(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result = scalars
    let classes = scalars.map(combiningClass)
    var start = 0
    while start < scalars.count {
      guard classes[start] != 0 else {
        start += 1
        continue
      }
      let end = classes[start...].firstIndex(of: 0) ?? scalars.count
      let order = (start..<end).sorted { (classes[$0], $0) < (classes[$1], $1) }
      for (place, index) in zip(start..<end, order) { result[place] = scalars[index] }
      start = end
    }
    return result
  }

  /// Joins marks with the starter before them unless a mark of the same or a higher class stands between.
  private static func composed(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    var starter: Int?
    var lastClass: UInt8 = 0
    for scalar in scalars {
      let combining = combiningClass(scalar)
      if let place = starter {
        let adjacent = place == result.count - 1
        if adjacent || (lastClass < combining && lastClass != 0), let joined = pair(result[place], scalar) {
          result[place] = joined
          continue
        }
      }
      if combining == 0 { starter = result.count }
      lastClass = combining
      result.append(scalar)
    }
    return result
  }

  private static func pair(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
    Hangul.composed(first, second) ?? Table.shared.composites[UInt64(first.value) << 32 | UInt64(second.value)]
  }

  /// The decompositions of Unicode 9, read once from ``canonicalDecompositions``.
  private struct Table: Sendable {
    static let shared = Table()

    var decompositions: [Unicode.Scalar: [Unicode.Scalar]] = [:]
    var composites: [UInt64: Unicode.Scalar] = [:]
    /// The scalars that can be the second of a composed pair.
    var seconds: Set<Unicode.Scalar> = []

    init() {
      for entry in canonicalDecompositions.split(whereSeparator: { $0 == ";" || $0 == "\n" }) {
        let isExcluded = entry.first == "-"
        let scalars = entry.drop { $0 == "-" }.split(separator: " ").compactMap { code in
          UInt32(code, radix: 16).flatMap(Unicode.Scalar.init)
        }
        guard let whole = scalars.first else { continue }
        decompositions[whole] = Array(scalars.dropFirst())
        guard !isExcluded, scalars.count == 3 else { continue }
        composites[UInt64(scalars[1].value) << 32 | UInt64(scalars[2].value)] = whole
        seconds.insert(scalars[2])
      }
    }
  }
}

/// Hangul syllables are composed by arithmetic. Source: the Unicode Standard, section 3.12.
private enum Hangul {
  private static let syllables: UInt32 = 0xAC00
  private static let leading: UInt32 = 0x1100
  private static let vowels: UInt32 = 0x1161
  /// One before the first final consonant: index 0 stands for none.
  private static let finals: UInt32 = 0x11A7
  private static let vowelCount: UInt32 = 21
  private static let finalCount: UInt32 = 28
  private static let syllableCount: UInt32 = 19 * 21 * 28

  static func isVowelOrFinal(_ scalar: Unicode.Scalar) -> Bool {
    (vowels..<vowels + vowelCount).contains(scalar.value) || (finals + 1..<finals + finalCount).contains(scalar.value)
  }

  static func decomposed(_ scalar: Unicode.Scalar) -> [Unicode.Scalar]? {
    guard (syllables..<syllables + syllableCount).contains(scalar.value) else { return nil }
    let index = scalar.value - syllables
    let final = index % finalCount
    let parts = [
      leading + index / (vowelCount * finalCount), vowels + index % (vowelCount * finalCount) / finalCount,
      finals + final,
    ]
    return parts.prefix(final == 0 ? 2 : 3).compactMap(Unicode.Scalar.init)
  }

  static func composed(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
    if (leading..<leading + 19).contains(first.value), (vowels..<vowels + vowelCount).contains(second.value) {
      let index = ((first.value - leading) * vowelCount + second.value - vowels) * finalCount
      return Unicode.Scalar(syllables + index)
    }
    let isOpen =
      (syllables..<syllables + syllableCount).contains(first.value) && (first.value - syllables) % finalCount == 0
    guard isOpen, (finals + 1..<finals + finalCount).contains(second.value) else { return nil }
    return Unicode.Scalar(first.value + second.value - finals)
  }
}
