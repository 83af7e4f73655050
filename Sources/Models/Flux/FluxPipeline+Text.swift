import NN
import Tensor
import Tokenizers

extension FluxPipeline {
  /// T5 sees padding as the pipelines of FLUX show it, without a mask; CLIP gives the pooled vector only.
  public func encode(_ prompts: [String], maxSequenceLength: Int, clipSkip: Int = 0) throws -> EncodedPrompts {
    let clipLength = min(clipTokenizer.modelMaxLength ?? 77, clip.config.maxPositions)
    return EncodedPrompts(
      states: t5(try t5Tokenizer.encode(prompts, maxLength: maxSequenceLength)),
      pooled: clip(try clipTokenizer.encode(prompts, maxLength: clipLength)).pooled)
  }

  public func tokens(of phrase: String, in prompt: String, maxSequenceLength: Int?) throws -> [Range<Int>] {
    try t5Tokenizer.encode(prompt, maxLength: sequenceLength(maxSequenceLength)).tokens(of: phrase)
  }

  public func encodePhrases(_ phrases: [String], maxSequenceLength: Int?) throws -> [EncodedPhrase] {
    try t5.phrases(phrases, t5Tokenizer, maxLength: sequenceLength(maxSequenceLength))
  }
}
