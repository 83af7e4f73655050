/// Selects sites by name, one part per dot: `double.14.image.attentionOutput`, `double.*.image.*`, `*.10-14.text`.
///
/// A part is a name, a number, a range of numbers (`10-14`, both included) or `*`; parts left out at the end match
/// anything. A pattern that matches no site of the model is an error when it is installed, never a silent no-op.
public struct SitePattern: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let text: String
  private let parts: [Part]

  private enum Part: Hashable {
    case any
    case range(ClosedRange<Int>)
    case name(Substring)
  }

  public init(_ text: String) {
    self.text = text
    parts = text.split(separator: ".", omittingEmptySubsequences: false).map(SitePattern.part)
  }
  public init(stringLiteral text: String) { self.init(text) }
  /// Every site of one kind.
  public init(_ site: Site) { self.init(site.description) }

  public var description: String { text }

  public func matches(_ site: Site) -> Bool {
    parts.count <= 4
      && zip(parts, [site.block.family, String(site.block.layer), site.stream.name, site.point.rawValue])
        .allSatisfy { part, name in
          switch part {
          case .any: true
          case .range(let range): Int(name).map(range.contains) ?? false
          case .name(let expected): expected == name
          }
        }
  }

  private static func part(_ text: Substring) -> Part {
    if text == "*" { return .any }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false)
    if ends.count == 2, let lower = Int(ends[0]), let upper = Int(ends[1]), lower <= upper {
      return .range(lower...upper)
    }
    return .name(text)
  }
}
