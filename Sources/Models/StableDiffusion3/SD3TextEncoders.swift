import NN
import Tensor
import Tokenizers

/// The three text encoders of Stable Diffusion 3: CLIP-L and CLIP-bigG with projection, and T5, which may be left out.
///
/// Source: diffusers `StableDiffusion3Pipeline.encode_prompt`.
public struct SD3TextEncoders: Sendable {
  public typealias Part = TextEncoderPart

  public var clipL, clipG: Part<CLIPTextEncoder>
  /// nil: its tokens are zeros.
  public var t5: Part<T5Encoder>?
  /// Width of the states: T5's, and the transformer's `joint_attention_dim`.
  public var dim: Int

  public init(clipL: Part<CLIPTextEncoder>, clipG: Part<CLIPTextEncoder>, t5: Part<T5Encoder>?, dim: Int) {
    self.clipL = clipL
    self.clipG = clipG
    self.t5 = t5
    self.dim = dim
  }

  /// Tokens both CLIP encoders are given, padding included.
  public var clipLength: Int {
    min(clipL.tokenizer.modelMaxLength ?? 77, clipL.config.maxPositions, clipG.config.maxPositions)
  }

  /// The most layers that can be skipped beyond the last.
  public var maximumClipSkip: Int { min(clipL.config.layers, clipG.config.layers) - 1 }

  /// - Parameters:
  ///   - t5Length: tokens T5 is given, padding included; it sees padding
  ///   - clipSkip: layers whose states are left out, beyond the last
  ///   - hooks: whose processors see the blocks, as families `clip-l`, `clip-g` and `t5`
  /// - Returns: states `[batch, clipLength + t5Length, dim]`, pooled `[batch, dimL + dimG]`
  public func callAsFunction(
    _ prompts: [String], t5Length: Int, clipSkip: Int = 0, hooks: HookRun? = nil
  ) throws -> EncodedPrompts {
    func clip(_ part: Part<CLIPTextEncoder>, _ family: String) throws -> (states: Tensor, pooled: Tensor) {
      let codes = try part.codes(
        prompts, length: clipLength, .penultimate(skipping: clipSkip), hooks: hooks, family: family)
      return (codes.states, codes.pooled)
    }
    return EncodedPrompts(
      clipL: try clip(clipL, "clip-l"), clipG: try clip(clipG, "clip-g"),
      t5: try t5?.codes(prompts, length: t5Length, .states, hooks: hooks, family: "t5").states
        ?? Tensor(zeros: [prompts.count, t5Length, dim]))
  }

  /// Texts that will be asked for soon, see `TextEncoderPart`.
  func expect(prompts: [String], phrases: [String], t5Length: Int, clipSkip: Int) throws {
    for part in [clipL, clipG] {
      try part.expect(prompts, length: clipLength, .penultimate(skipping: clipSkip))
      try part.expect(phrases, length: clipLength, .penultimate(skipping: 0))
    }
    try t5?.expect(prompts + phrases, length: t5Length, .states)
  }

  /// Their blocks, for processors.
  public var sites: [TextEncoderSites] {
    [("clip-l", clipL), ("clip-g", clipG)].map { TextEncoderSites($0, layers: $1.config.layers) }
      + (t5.map { [TextEncoderSites("t5", layers: $0.config.layers)] } ?? [])
  }

  /// Phrases, each as if alone, with its tokens among CLIP's and, if there is T5, among T5's.
  public func phrases(_ texts: [String], t5Length: Int) throws -> [EncodedPhrase] {
    if texts.isEmpty { return [] }
    let together = try self(texts, t5Length: t5Length).states
    return try texts.enumerated().map { index, text in
      var spans = [try clipL.tokenizer.encode(text, maxLength: clipLength).contentRange], hasUnknown = false
      if let t5 {
        let prompt = try t5.tokenizer.encode(text, maxLength: t5Length)
        spans.append(prompt.contentRange.lowerBound + clipLength..<prompt.contentRange.upperBound + clipLength)
        hasUnknown = prompt.contains(t5.tokenizer.special.unknown)
      }
      return EncodedPhrase(text: text, states: together[index], spans: spans, hasUnknown: hasUnknown)
    }
  }

  /// Where a phrase stands in a prompt, among CLIP's tokens and, if there is T5, among T5's.
  public func tokens(of phrase: String, in prompt: String, t5Length: Int) throws -> [Range<Int>] {
    let clip = try clipL.tokenizer.encode(prompt, maxLength: clipLength).tokens(of: phrase)
    let t5 = try t5?.tokenizer.encode(prompt, maxLength: t5Length).tokens(of: phrase) ?? []
    return clip + t5.map { $0.lowerBound + clipLength..<$0.upperBound + clipLength }
  }
}
