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
    /// What the block's adaptive norms are told of timestep and prompt, `[batch, dim]`.
    case conditioning
    /// What the norm before attention makes of it, `[batch, dim]` each; `attentionGate` is what the branch is multiplied by
    /// (FLUX's single blocks: attention and MLP together).
    case attentionShift, attentionScale, attentionGate
    /// The same of the MLP; absent where it runs beside the attention.
    case mlpShift, mlpScale, mlpGate
    /// Tokens after the norm that precedes attention, an adaptive one in a denoiser, `[batch, tokens, dim]`.
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
    /// What the norm before a second attention makes of the conditioning, `[batch, dim]` each, and that attention's output
    /// after its projection and before its gate, `[batch, tokens, dim]`.
    case dualShift, dualScale, dualGate, dualProjected
    /// Attention output after the output projection and before the gate, `[batch, tokens, dim]`. Where one projection serves
    /// attention and MLP together (FLUX's single blocks), the attention's part of it, with the bias. Its share per head:
    /// `BlockView.StreamView.projectedHeads`.
    case attentionProjected
    /// Tokens between attention and MLP, `[batch, tokens, dim]`; absent where these run side by side.
    case residualMiddle
    /// Tokens after the norm that precedes the MLP, `[batch, tokens, dim]`.
    case mlpInput
    /// The MLP's neurons after the activation function, `[batch, tokens, mlpDim]`.
    case mlpHidden
    /// What the MLP gives, before its gate, `[batch, tokens, dim]`; in FLUX's single blocks its part of the projection,
    /// without the bias.
    case mlpOutput
    /// Tokens leaving the block, `[batch, tokens, dim]`.
    case residualOutput

    /// Whether only blocks with a second attention have it.
    public var isOfSecondAttention: Bool {
      switch self {
      case .dualQuery, .dualKey, .dualValue, .dualAttentionOutput, .dualShift, .dualScale, .dualGate, .dualProjected:
        true
      default: false
      }
    }
  }
}
