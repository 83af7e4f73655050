import Tensor

extension EncodedPrompts {
  /// The prompt as Stable Diffusion 3's transformer reads it: the states of both CLIP encoders side by side, filled with
  /// zeros to T5's width, and then T5's tokens; the pooled vectors side by side.
  ///
  /// Source: diffusers `StableDiffusion3Pipeline.encode_prompt`.
  ///
  /// - Parameters:
  ///   - clipL: states `[batch, clipTokens, dimL]` and pooled vector `[batch, dimL]`
  ///   - clipG: states `[batch, clipTokens, dimG]` and pooled vector `[batch, dimG]`
  ///   - t5: `[batch, t5Tokens, dim]` with `dim` at least `dimL + dimG`
  public init(
    clipL: (states: Tensor, pooled: Tensor), clipG: (states: Tensor, pooled: Tensor), t5: Tensor
  ) {
    let joined = concatenated([clipL.states, clipG.states], axis: -1), missing = t5.shape[2] - joined.shape[2]
    guard missing >= 0 else {
      tensorFailure("EncodedPrompts: CLIP states of shape \(joined.shape) are wider than T5's \(t5.shape)")
    }
    let filled = concatenated([joined, Tensor(zeros: [joined.shape[0], joined.shape[1], missing])], axis: -1)
    self.init(
      states: concatenated([filled, t5], axis: 1), pooled: concatenated([clipL.pooled, clipG.pooled], axis: -1))
  }
}
