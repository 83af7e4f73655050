extension Tensor {
  /// Axes split, reordered and merged as a pattern says: `einops.rearrange`.
  ///
  ///     let qkv = x.rearranged("b l (k h d) -> k b h l d", ["k": 3, "h": heads])
  ///
  /// Names stand for axes, `(…)` for an axis that is the product of several, `1` for an axis of extent 1, `...` for any
  /// number of axes. A view where strides allow; at most one copy.
  ///
  /// - Parameter extents: of axes that the pattern splits off; one extent per `(…)` may be left out
  public func rearranged(_ pattern: String, _ extents: [String: Int] = [:]) -> Tensor {
    let axes = RearrangePattern.cached(pattern, "rearranged")
    axes.requireSameAxes(shape)
    return rearrange(axes, extents)
  }

  /// As `rearranged`, with axes on the right side that are new: the elements are repeated along them. `einops.repeat`.
  ///
  ///     let frames = image.repeated("c h w -> c f h w", ["f": 16])
  public func repeated(_ pattern: String, _ extents: [String: Int] = [:]) -> Tensor {
    rearrange(RearrangePattern.cached(pattern, "repeated"), extents)
  }

  private func rearrange(_ pattern: RearrangePattern, _ extents: [String: Int]) -> Tensor {
    var sizes = AxisSizes(pattern, extents, shape)
    let (left, right) = sizes.solve()
    // Elementary axes of the source: a view, since splitting an axis never needs a copy.
    let elementary = reshaped(left.flatMap { $0 }.map { sizes[$0] })
    var place: [RearrangePattern.Axis: Int] = [:]
    for (axis, name) in left.joined().enumerated() { place[name] = axis }
    let order = right.flatMap { $0 }
    let spread = elementary.view(
      shape: order.map { sizes[$0] }, strides: order.map { name in place[name].map { elementary.strides[$0] } ?? 0 })
    return spread.reshaped(right.map { $0.reduce(1) { $0 * sizes[$1] } })
  }
}

/// Both sides of a pattern, each a list of groups: one group per axis, of the elementary axes it is made of.
struct RearrangePattern: Sendable {
  enum Axis: Hashable, Sendable {
    case name(String)
    /// An axis of the given extent without a name; `place` tells equal ones apart.
    case extent(Int, place: Int)
    case ellipsis
    /// One of the axes that `...` stands for.
    case ellipsisMember(Int)
  }

  /// One axis of a tensor: a single elementary axis, or in `(…)` the product of any number of them.
  struct Group: Sendable {
    var axes: [Axis]
    let isProduct: Bool

    /// Whether this is a `...` on its own, which stands for several axes.
    var isEllipsis: Bool { !isProduct && axes == [.ellipsis] }
  }

  let text: String
  let operation: String
  let left: [Group], right: [Group]

  private static let cache = PatternCache<RearrangePattern>()

  static func cached(_ text: String, _ operation: String) -> RearrangePattern {
    cache.pattern(operation + text) { _ in RearrangePattern(text, operation) }
  }

  private init(_ text: String, _ operation: String) {
    self.text = text
    self.operation = operation
    let sides = text.splitting(at: "->")
    guard sides.count == 2 else { tensorFailure("\(operation): '\(text)' is not 'axes -> axes'") }
    var parser = RearrangeParser(text: text, operation: operation)
    left = parser.groups(sides[0], isLeft: true)
    right = parser.groups(sides[1], isLeft: false)
    let known = Set(left.flatMap(\.axes)), kept = Set(right.flatMap(\.axes))
    guard !kept.contains(.ellipsis) || known.contains(.ellipsis) else {
      tensorFailure("\(operation): '\(text)' has '...' on the right only")
    }
    for axis in left.flatMap(\.axes) where !kept.contains(axis) {
      if case .extent(1, _) = axis { continue }
      tensorFailure("\(operation): '\(text)' loses axis \(axis) of the left side")
    }
  }

  /// What `rearranged` asks for beyond `repeated`: no axis is new on the right, other than of extent 1.
  func requireSameAxes(_ shape: [Int]) {
    let known = Set(left.flatMap(\.axes))
    for axis in right.flatMap(\.axes) where !known.contains(axis) {
      if case .extent(1, _) = axis { continue }
      tensorFailure("\(operation): '\(text)' has no axis \(axis) on its left side; shape \(shape)")
    }
  }
}

extension RearrangePattern.Axis: CustomStringConvertible {
  var description: String {
    switch self {
    case .name(let name): "'\(name)'"
    case .extent(let extent, _): "\(extent)"
    case .ellipsis, .ellipsisMember: "'...'"
    }
  }
}

private struct RearrangeParser {
  let text: String, operation: String
  private var places = 0

  init(text: String, operation: String) {
    self.text = text
    self.operation = operation
  }

  mutating func groups(_ side: Substring, isLeft: Bool) -> [RearrangePattern.Group] {
    var groups: [RearrangePattern.Group] = [], open = false
    for token in tokens(side) {
      switch token {
      case "(":
        if open { fail("has '(' inside '(…)'") }
        open = true
        groups.append(.init(axes: [], isProduct: true))
      case ")":
        if !open { fail("has ')' without '('") }
        open = false
      default:
        let axis = self.axis(token)
        if axis == .ellipsis, isLeft, open { fail("has '...' inside '(…)' on the left") }
        if open {
          groups[groups.count - 1].axes.append(axis)
        } else {
          groups.append(.init(axes: [axis], isProduct: false))
        }
      }
    }
    if open { fail("has '(' without ')'") }
    var seen = Set<RearrangePattern.Axis>()
    for axis in groups.flatMap(\.axes) where !seen.insert(axis).inserted { fail("names \(axis) twice on one side") }
    return groups
  }

  private func tokens(_ side: Substring) -> [Substring] {
    var tokens: [Substring] = [], start: Substring.Index?
    for place in side.indices {
      let character = side[place], separates = character == " " || character == "(" || character == ")"
      if separates, let first = start {
        tokens.append(side[first..<place])
        start = nil
      }
      if character == "(" || character == ")" { tokens.append(side[place...place]) }
      if !separates, start == nil { start = place }
    }
    if let start { tokens.append(side[start...]) }
    return tokens
  }

  private mutating func axis(_ token: Substring) -> RearrangePattern.Axis {
    if token == "..." || token == "…" { return .ellipsis }
    if let extent = Int(token) {
      guard extent > 0 else { fail("has the extent \(token)") }
      places += 1
      return .extent(extent, place: places)
    }
    let isName = token.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" } && token.first?.isNumber == false
    guard isName else { fail("has the axis '\(token)', which is not a name") }
    return .name(String(token))
  }

  private func fail(_ reason: String) -> Never { tensorFailure("\(operation): '\(text)' \(reason)") }
}

/// The extents of a pattern's elementary axes, worked out from a shape.
private struct AxisSizes {
  typealias Axis = RearrangePattern.Axis
  private let pattern: RearrangePattern
  private let shape: [Int]
  private var sizes: [Axis: Int] = [:]

  init(_ pattern: RearrangePattern, _ extents: [String: Int], _ shape: [Int]) {
    self.pattern = pattern
    self.shape = shape
    let all = Set((pattern.left + pattern.right).flatMap(\.axes))
    for (name, extent) in extents {
      guard all.contains(.name(name)) else { fail("has no axis '\(name)'") }
      guard extent >= 0 else { fail("with '\(name)' = \(extent)") }
      sizes[.name(name)] = extent
    }
    for axis in all { if case .extent(let extent, _) = axis { sizes[axis] = extent } }
  }

  subscript(axis: Axis) -> Int { sizes[axis, default: 1] }

  /// Both sides with `...` written out, after every size has been found.
  mutating func solve() -> (left: [[Axis]], right: [[Axis]]) {
    let extra = shape.count - pattern.left.count + 1
    let hasEllipsis = pattern.left.contains(where: \.isEllipsis)
    guard hasEllipsis ? extra >= 0 : extra == 1 else {
      fail("has \(pattern.left.count) axes on its left side")
    }
    let members = hasEllipsis ? (0..<extra).map { Axis.ellipsisMember($0) } : []
    func spelled(_ groups: [RearrangePattern.Group]) -> [[Axis]] {
      groups.flatMap { group in
        group.isEllipsis ? members.map { [$0] } : [group.axes.flatMap { $0 == .ellipsis ? members : [$0] }]
      }
    }
    let left = spelled(pattern.left), right = spelled(pattern.right)
    for (group, extent) in zip(left, shape) { solve(group, extent) }
    for axis in right.joined() where sizes[axis] == nil { fail("needs the extent of \(axis)") }
    return (left, right)
  }

  private mutating func solve(_ group: [Axis], _ extent: Int) {
    let unknown = group.filter { sizes[$0] == nil }, known = group.reduce(1) { $0 * (sizes[$1] ?? 1) }
    guard unknown.count <= 1 else { fail("needs the extent of \(unknown[0]) or \(unknown[1])") }
    if let axis = unknown.first {
      guard known > 0, extent % known == 0 else { fail("does not split extent \(extent) by \(known)") }
      sizes[axis] = extent / known
    } else if known != extent {
      fail("asks for extent \(known) where it is \(extent)")
    }
  }

  private func fail(_ reason: String) -> Never {
    tensorFailure("\(pattern.operation): '\(pattern.text)' \(reason); shape \(shape)")
  }
}

extension String {
  /// The parts between occurrences of `separator`.
  func splitting(at separator: String) -> [Substring] {
    var parts: [Substring] = [], start = startIndex, place = startIndex
    while place < endIndex {
      if self[place...].hasPrefix(separator) {
        parts.append(self[start..<place])
        place = index(place, offsetBy: separator.count)
        start = place
      } else {
        place = index(after: place)
      }
    }
    return parts + [self[start...]]
  }
}
