import NN

extension AttentionProjections {
  /// Those of one side of diffusers' joint attention, of width `dim`; the image's names are also those of a plain attention.
  ///
  /// - Parameter normalized: whether queries and keys pass RMS norms
  init(_ dim: Int, heads: Int, headDim: Int, side: StreamID, normalized: Bool = true, _ w: Weights) {
    let isImage = side == .image
    self.init(
      dim, heads: heads,
      names: isImage ? ("to_q", "to_k", "to_v") : ("add_q_proj", "add_k_proj", "add_v_proj"),
      queryNorm: normalized ? RMSNorm(headDim, w[isImage ? "norm_q" : "norm_added_q"]) : nil,
      keyNorm: normalized ? RMSNorm(headDim, w[isImage ? "norm_k" : "norm_added_k"]) : nil, w)
  }
}
