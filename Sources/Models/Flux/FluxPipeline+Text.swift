import NN
import Tensor
import Tokenizers

extension FluxPipeline {
  /// T5 sees padding as the pipelines of FLUX show it, without a mask; CLIP gives the pooled vector only.
  public func encode(_ prompts: [String], maxSequenceLength: Int, clipSkip: Int? = nil) throws -> EncodedPrompts {
    let clipLength = min(clipTokenizer.modelMaxLength ?? 77, clip.config.maxPositions)
    return EncodedPrompts(
      states: t5(try t5Tokenizer.encode(prompts, maxLength: maxSequenceLength)),
      pooled: clip(try clipTokenizer.encode(prompts, maxLength: clipLength)).pooled)
  }

  public func encodePhrases(_ phrases: [String], maxSequenceLength: Int? = nil) throws -> [EncodedPhrase] {
    let length = maxSequenceLength ?? defaults.maxSequenceLength ?? family.sequenceLength
    return try phrases.map { phrase in
      let prompt = try t5Tokenizer.encode(phrase, maxLength: length)
      return EncodedPhrase(
        text: phrase, states: t5(prompt.batch)[0], spans: [prompt.contentRange],
        hasUnknown: prompt.contains(t5Tokenizer.special.unknown))
    }
  }
}
