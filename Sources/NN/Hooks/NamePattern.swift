/// Names of parts separated by dots, some of them left open: what site and block patterns have in common.
///
/// A part is a name, a number, a range of numbers (`10-14`, both included) or `*`; parts left out at the end match
/// anything.
struct NamePattern: Hashable, Sendable {
  let text: String
  private let parts: [Part]

  private enum Part: Hashable {
    case any
    case range(ClosedRange<Int>)
    case name(Substring)
  }

  init(_ text: String) {
    self.text = text
    parts = text.split(separator: ".", omittingEmptySubsequences: false).map(NamePattern.part)
  }

  func matches(_ names: [String]) -> Bool {
    parts.count <= names.count
      && zip(parts, names).allSatisfy { part, name in
        switch part {
        case .any: true
        case .range(let range): Int(name).map(range.contains) ?? false
        case .name(let expected): expected == name
        }
      }
  }

  /// The name that a part asks for; nil where it leaves it open.
  func name(ofPart index: Int) -> String? {
    if index < parts.count, case .name(let name) = parts[index] { String(name) } else { nil }
  }

  private static func part(_ text: Substring) -> Part {
    if text == "*" { return .any }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    if ends.count == 2, let lower = Int(ends[0]), let upper = Int(ends[1]), lower <= upper {
      return .range(lower...upper)
    }
    return .name(text)
  }

  /// The names that differ least from the pattern's text, for an error message.
  func nearest(of names: [String], count: Int) -> [String] {
    let shown = names.enumerated().map { (distance: distance(to: $1), place: $0, name: $1) }
    return shown.sorted { ($0.distance, $0.place) < ($1.distance, $1.place) }.prefix(count).map(\.name)
  }

  /// Levenshtein's: letters to insert, remove or replace.
  private func distance(to other: String) -> Int {
    let letters = Array(text.utf8), others = Array(other.utf8)
    var row = Array(0...others.count)
    for (i, letter) in letters.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, otherLetter) in others.enumerated() {
        let replaced = diagonal + (letter == otherLetter ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
      }
    }
    return row[others.count]
  }
}
