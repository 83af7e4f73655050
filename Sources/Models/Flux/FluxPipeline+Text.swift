import NN
import Tensor

/// Prompts as FLUX's transformer reads them.
public struct EncodedPrompts: Sendable {
  /// T5 hidden states, `[batch, tokens, dim]`.
  public var states: Tensor
  /// Pooled CLIP vectors, `[batch, dim]`.
  public var pooled: Tensor
}

extension FluxPipeline {
  /// T5 sees padding as the pipelines of FLUX show it, without a mask.
  ///
  /// - Parameter length: tokens T5 is given, padding included
  public func encode(_ prompts: [String], _ length: Int) throws -> EncodedPrompts {
    let t5IDs = try prompts.map { try t5Tokenizer.encode($0, maxLength: length).ids }
    let clipLength = min(clipTokenizer.modelMaxLength ?? 77, clip.config.maxPositions)
    let clipIDs = try prompts.map { try clipTokenizer.encode($0, maxLength: clipLength).ids }
    return EncodedPrompts(states: t5(batch(t5IDs)), pooled: clip(batch(clipIDs)).pooled)
  }

  public func encodePhrases(_ phrases: [String], maxSequenceLength: Int? = nil) throws -> [EncodedPhrase] {
    let length = maxSequenceLength ?? defaults.maxSequenceLength ?? (flux.config.guidanceEmbeds ? 512 : 256)
    return try phrases.map { phrase in
      let prompt = try t5Tokenizer.encode(phrase, maxLength: length)
      return EncodedPhrase(
        text: phrase, states: t5(batch([prompt.ids]))[0], span: prompt.contentRange,
        hasUnknown: prompt.ids[prompt.contentRange].contains(t5Tokenizer.special.unknown))
    }
  }

  private func batch(_ ids: [[Int32]]) -> Tensor {
    Tensor(scalars: ids.flatMap { $0 }, shape: [ids.count, ids.first?.count ?? 0]).converted(to: .i64)
  }
}
