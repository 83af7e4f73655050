/// Selects sites by name, one part per dot: `double.14.image.attentionOutput`, `double.*.image.*`, `*.10-14.text`.
///
/// A part is a name, a number, a range of numbers (`10-14`, both included) or `*`; parts left out at the end match
/// anything. A pattern that matches no site of the model is an error when it is installed, never a silent no-op.
public struct SitePattern: Hashable, Sendable, ExpressibleByStringInterpolation, CustomStringConvertible {
  let pattern: NamePattern

  public init(_ text: String) { pattern = NamePattern(text) }
  public init(stringLiteral text: String) { self.init(text) }
  /// Every site of one kind.
  public init(_ site: Site) { self.init(site.description) }

  public var text: String { pattern.text }
  public var description: String { text }

  public func matches(_ site: Site) -> Bool {
    pattern.matches([site.block.family, String(site.block.layer), site.stream.name, site.point.rawValue])
  }
}

/// Selects blocks by name: `double.14`, `double.*`, `*.10-14`. Parts are as in a `SitePattern`.
public struct BlockPattern: Hashable, Sendable, ExpressibleByStringInterpolation, CustomStringConvertible {
  let pattern: NamePattern

  public init(_ text: String) { pattern = NamePattern(text) }
  public init(stringLiteral text: String) { self.init(text) }
  /// One block.
  public init(_ block: BlockID) { self.init(block.description) }

  public var text: String { pattern.text }
  public var description: String { text }

  public func matches(_ block: BlockID) -> Bool { pattern.matches([block.family, String(block.layer)]) }
}
