// CLIP's pattern for words, as a scanner over scalars.

/// The words of a lower-cased text, in order; what lies between them is white space.
///
/// The pattern is
/// `<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`.
/// The reference then splits every match once more with GPT-2's pattern, which changes only the first two: a
/// spelled-out special token that was not taken as one falls into `<|`, letters and `|>`.
///
/// Source: openai/CLIP `SimpleTokenizer.pat`; transformers `CLIPTokenizer`, tokenizers `ByteLevel`.
struct CLIPWords: Sequence, IteratorProtocol {
  private enum Class { case letter, number, space, other }

  private static let contractions: [[Unicode.Scalar]] = ["s", "t", "re", "ve", "m", "ll", "d"].map {
    Array($0.unicodeScalars)
  }
  private static let specials = ["startoftext", "endoftext"].map { Array("<|\($0)|>".unicodeScalars) }

  private let scalars: [Unicode.Scalar]
  private var position = 0
  /// The rest of a spelled-out special token.
  private var pending: [Range<Int>] = []

  init(_ scalars: [Unicode.Scalar]) { self.scalars = scalars }

  mutating func next() -> Range<Int>? {
    if !pending.isEmpty { return pending.removeFirst() }
    while position < scalars.count {
      let start = position
      switch Self.classify(scalars[start]) {
      case .space:
        position += 1
        continue
      case .number:
        position += 1
      case .letter:
        position = end(of: .letter, from: start)
      case .other:
        if let special = Self.specials.first(where: { matches($0, at: start) }) { return split(special, at: start) }
        let contraction = scalars[start] == "'" ? Self.contractions.first { matches($0, at: start + 1) } : nil
        position = contraction.map { start + 1 + $0.count } ?? end(of: .other, from: start)
      }
      return start..<position
    }
    return nil
  }

  private mutating func split(_ special: [Unicode.Scalar], at start: Int) -> Range<Int> {
    position = start + special.count
    pending = [start + 2..<position - 2, position - 2..<position]
    return start..<start + 2
  }

  private func end(of kind: Class, from start: Int) -> Int {
    scalars[start...].firstIndex { Self.classify($0) != kind } ?? scalars.count
  }

  private func matches(_ text: [Unicode.Scalar], at start: Int) -> Bool {
    start <= scalars.count && scalars[start...].starts(with: text)
  }

  private static func classify(_ scalar: Unicode.Scalar) -> Class {
    let properties = scalar.properties
    if properties.isWhitespace { return .space }
    // The reference's tables end with Unicode 16: what came later is neither letter nor number to it.
    if scalar.value >= 0x80, let age = properties.age, age.major > 16 { return .other }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return .letter
    case .decimalNumber, .letterNumber, .otherNumber: return .number
    default: return .other
    }
  }
}
