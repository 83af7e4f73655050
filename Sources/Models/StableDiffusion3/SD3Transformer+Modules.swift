import NN

extension SD3Transformer {
  /// Source: diffusers `JointTransformerBlock`, `SD35AdaLayerNormZeroX`.
  public func moduleTensor(of site: Site) -> ModuleTensor? {
    let block = "transformer_blocks.\(site.block.layer)", normalized = config.queryKeyNorm
    func second(_ name: String, _ norm: String) -> ModuleTensor {
      normalized
        ? .init("\(block).attn2.\(norm)", .output(nil)) : .init("\(block).attn2.\(name)", .output(nil), .mergedHeads)
    }
    switch (site.stream, site.point) {
    case (.image, .dualQuery): return second("to_q", "norm_q")
    case (.image, .dualKey): return second("to_k", "norm_k")
    case (.image, .dualValue): return .init("\(block).attn2.to_v", .output(nil), .mergedHeads)
    case (.image, .dualAttentionOutput): return .init("\(block).attn2.to_out.0", .input(nil), .mergedHeads)
    case (.image, .dualProjected): return .init("\(block).attn2.to_out.0", .output(nil))
    case (.image, .dualGate): return .init("\(block).norm1", .output(6))
    case (.text, .modulated) where site.block.layer == config.numLayers - 1:
      return .init("\(block).norm1_context", .output(nil))
    // The last block's text output is dropped before its projection.
    case (.text, .attentionOutput) where site.block.layer == config.numLayers - 1: return nil
    case (.image, _), (.text, _): return .ofJointBlock(site, block, normalized: normalized)
    default: return nil
    }
  }
}
