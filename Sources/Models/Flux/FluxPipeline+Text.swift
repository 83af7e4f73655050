import NN
import Tensor
import Tokenizers

extension FluxPipeline {
  /// Tokens CLIP is given, padding included.
  private var clipLength: Int { min(clip.tokenizer.modelMaxLength ?? 77, clip.config.maxPositions) }

  /// T5 sees padding as the pipelines of FLUX show it, without a mask; CLIP gives the pooled vector only.
  public func encode(
    _ prompts: [String], maxSequenceLength: Int, clipSkip: Int, hooks: HookRun?
  ) throws -> EncodedPrompts {
    EncodedPrompts(
      states: try t5.codes(prompts, length: maxSequenceLength, .states, hooks: hooks, family: "t5").states,
      pooled: try clip.codes(prompts, length: clipLength, .pooled, hooks: hooks, family: "clip").pooled)
  }

  public func expect(prompts: [String], phrases: [String], maxSequenceLength: Int, clipSkip: Int) throws {
    try t5.expect(prompts + phrases, length: maxSequenceLength, .states)
    try clip.expect(prompts, length: clipLength, .pooled)
  }

  public var encoderSites: [any StreamModel] {
    [TextEncoderSites("t5", layers: t5.config.layers), TextEncoderSites("clip", layers: clip.config.layers)]
  }

  public func tokens(of phrase: String, in prompt: String, maxSequenceLength: Int?) throws -> [Range<Int>] {
    try t5.tokenizer.encode(prompt, maxLength: sequenceLength(maxSequenceLength)).tokens(of: phrase)
  }

  public func encodePhrases(_ phrases: [String], maxSequenceLength: Int?) throws -> [EncodedPhrase] {
    try t5.phrases(phrases, maxLength: sequenceLength(maxSequenceLength))
  }
}
