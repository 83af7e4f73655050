/// Names a stream of tokens: `image`, `text`, or one that a processor brings along, such as `concepts`.
public struct StreamID: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let name: String
  public init(_ name: String) { self.name = name }
  public init(stringLiteral name: String) { self.name = name }
  public var description: String { name }

  /// Image tokens; video tokens in a video model.
  public static let image: StreamID = "image"
  /// Prompt tokens.
  public static let text: StreamID = "text"
}

/// Names a block: its family (`double`, `single`, `joint`) and its place within the family.
public struct BlockID: Hashable, Sendable, CustomStringConvertible {
  public let family: String
  public let layer: Int

  public init(_ family: String, _ layer: Int) {
    self.family = family
    self.layer = layer
  }

  public var description: String { "\(family).\(layer)" }
}

/// A place in a model where a processor can read or rewrite a tensor. Prints as `double.14.image.attentionOutput`.
public struct Site: Hashable, Sendable, CustomStringConvertible {
  public let block: BlockID
  public let stream: StreamID
  public let point: Point

  public init(_ block: BlockID, _ stream: StreamID, _ point: Point) {
    self.block = block
    self.stream = stream
    self.point = point
  }

  public var description: String { "\(block).\(stream).\(point.rawValue)" }

  /// Where within a block, in the order of the computation.
  public enum Point: String, Sendable, CaseIterable {
    /// Tokens entering the block, `[batch, tokens, dim]`.
    case residualInput
    /// Tokens after the adaptive norm that precedes attention, `[batch, tokens, dim]`.
    case modulated
    /// After QK-norm and before rotation, `[batch, heads, tokens, headDim]`.
    case query, key
    /// `[batch, heads, tokens, headDim]`.
    case value
    /// After rotation, `[batch, heads, tokens, headDim]`; absent where a model has no rotary embedding.
    case rotatedQuery, rotatedKey
    /// What attention gives a stream, per head and before the output projection, `[batch, heads, tokens, headDim]`.
    case attentionOutput
    /// The same four of a second, image-only attention (SD3.5 Medium).
    case dualQuery, dualKey, dualValue, dualAttentionOutput
    /// Tokens after the adaptive norm that precedes the MLP, `[batch, tokens, dim]`.
    case mlpInput
    /// What the MLP gives, before its gate, `[batch, tokens, dim]`.
    case mlpOutput
    /// Tokens leaving the block, `[batch, tokens, dim]`.
    case residualOutput
  }
}
