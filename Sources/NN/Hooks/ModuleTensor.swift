/// Where the reference implementation has a site: a module, and which of its tensors. Prints as
/// `transformer_blocks.3.attn.to_v.output`.
public struct ModuleTensor: Sendable, Hashable, CustomStringConvertible {
  public enum Place: Sendable, Hashable {
    /// The module's input; of several, the one of this name.
    case input(String?)
    /// The module's argument of this number.
    case argument(Int)
    /// The module's output; of several, the one of this number.
    case output(Int?)
  }

  /// How the reference lays it out.
  public enum Layout: Sendable, Hashable {
    case asHere
    /// `[batch, tokens, heads * headDim]`
    case mergedHeads
    /// `[batch, tokens, heads, headDim]`
    case headsLast
    /// `[batch, 1, dim]` of what is `[batch, dim]` here.
    case withTokenAxis
  }

  /// Below the transformer, `transformer_blocks.3.attn.to_v`.
  public let module: String
  public let place: Place
  public let layout: Layout
  /// The streams whose tokens lie in it one after the other; empty for the site's own alone.
  public let streams: [StreamID]

  public init(_ module: String, _ place: Place, _ layout: Layout = .asHere, streams: [StreamID] = []) {
    self.module = module
    self.place = place
    self.layout = layout
    self.streams = streams
  }

  public var description: String {
    switch place {
    case .input(let name): "\(module).input" + (name.map { ".\($0)" } ?? "")
    case .argument(let number): "\(module).input.\(number)"
    case .output(let number): "\(module).output" + (number.map { ".\($0)" } ?? "")
    }
  }

  /// As nnsight writes it: `transformer_blocks[3].attn.to_v.output`.
  public var accessor: String {
    let path = module.split(separator: ".").map { Int($0) == nil ? ".\($0)" : "[\($0)]" }.joined().dropFirst()
    switch place {
    case .input(let name): return "\(path).input" + (name.map { "s[1]['\($0)']" } ?? "")
    case .argument(let number): return "\(path).inputs[0][\(number)]"
    case .output(let number): return "\(path).output" + (number.map { "[\($0)]" } ?? "")
    }
  }
}
