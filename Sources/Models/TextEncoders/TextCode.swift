import NN
import Tensor

/// What of a text encoder's output a transformer is given.
public enum TextReading: Sendable, Hashable {
  /// The final states (T5).
  case states
  /// The pooled vector alone, not projected (CLIP for FLUX.1).
  case pooled
  /// The states before the last layer, or further layers, and the pooled vector, projected where there is a projection (CLIP
  /// for Stable Diffusion 3).
  case penultimate(skipping: Int)
}

/// What a text encoder makes of one prompt.
public struct TextCode: Sendable {
  /// `[tokens, dim]`; nil where only the pooled vector is read.
  public var states: Tensor?
  /// `[pooledDim]`; nil from an encoder without.
  public var pooled: Tensor?

  var tensors: [String: Tensor] { ["states": states, "pooled": pooled].compactMapValues { $0 } }
  var bytes: Int { tensors.values.map(\.byteCount).reduce(0, +) }
}

/// Several prompts together, `[prompts, …]`.
extension [TextCode] {
  var states: Tensor { stacked(compactMap(\.states), axis: 0) }
  var pooled: Tensor { stacked(compactMap(\.pooled), axis: 0) }
}

/// A text encoder, by what pipelines need of it.
public protocol PromptEncoder: Sendable {
  associatedtype Config: Sendable
  var config: Config { get }

  /// What it makes of prompts: of each the same, to the bit, whatever the others are.
  ///
  /// - Parameters:
  ///   - ids: `[prompts, tokens]`
  ///   - hooks: whose processors see the blocks; nil for nobody
  ///   - family: the name that their sites have
  func codes(_ ids: Tensor, _ reading: TextReading, hooks: HookRun?, family: String) -> [TextCode]

  /// The shapes of a code, to tell a code of another encoder; empty for nil.
  static func shapes(_ config: Config, tokens: Int, _ reading: TextReading) -> [String: [Int]]

  /// How many tokens it is given where T5 is given so many.
  static func tokens(_ config: Config, asked: Int) -> Int

  /// How many numbers it holds at most while it encodes.
  static func floats(_ config: Config, texts: Int, tokens: Int) -> Int
}

extension T5Encoder: PromptEncoder {
  /// Padding is shown to the encoder as the pipelines show it: without a mask.
  public func codes(_ ids: Tensor, _ reading: TextReading, hooks: HookRun?, family: String) -> [TextCode] {
    let states = self(ids, hooks: hooks)
    return (0..<ids.shape[0]).map { TextCode(states: states[$0], pooled: nil) }
  }

  public static func shapes(_ config: T5Config, tokens: Int, _ reading: TextReading) -> [String: [Int]] {
    ["states": [tokens, config.dim]]
  }

  public static func tokens(_ config: T5Config, asked: Int) -> Int { asked }

  /// The gated feed-forward layer's two halves and their product, beside the residual; and the position bias.
  public static func floats(_ config: T5Config, texts: Int, tokens: Int) -> Int {
    texts * tokens * (3 * config.feedForwardDim + 3 * config.dim) + 2 * config.heads * tokens * tokens
  }
}

extension CLIPTextEncoder: PromptEncoder {
  public func codes(_ ids: Tensor, _ reading: TextReading, hooks: HookRun?, family: String) -> [TextCode] {
    let output = self(ids, hooks: hooks, family: family), prompts = 0..<ids.shape[0]
    guard case .penultimate(let skip) = reading else {
      return prompts.map { TextCode(states: nil, pooled: output.pooled[$0]) }
    }
    let states = output.hiddenStates[output.hiddenStates.count - 2 - skip], pooled = output.projected ?? output.pooled
    return prompts.map { TextCode(states: states[$0], pooled: pooled[$0]) }
  }

  public static func shapes(_ config: CLIPTextConfig, tokens: Int, _ reading: TextReading) -> [String: [Int]] {
    guard case .penultimate = reading else { return ["pooled": [config.dim]] }
    return [
      "states": [tokens, config.dim], "pooled": [config.hasProjection ? config.projectionDim : config.dim],
    ]
  }

  public static func tokens(_ config: CLIPTextConfig, asked: Int) -> Int { config.maxPositions }

  /// The states of all layers, and a feed-forward layer.
  public static func floats(_ config: CLIPTextConfig, texts: Int, tokens: Int) -> Int {
    texts * tokens * ((config.layers + 4) * config.dim + 2 * config.feedForwardDim)
  }
}
