import NN

extension FluxTransformer {
  /// Source: diffusers `FluxTransformerBlock`, `FluxSingleTransformerBlock`, whose modules see text and image tokens together.
  public func moduleTensor(of site: Site) -> ModuleTensor? {
    guard site.stream == .image || site.stream == .text else { return nil }
    if site.block.family == "double" {
      return .ofJointBlock(site, "transformer_blocks.\(site.block.layer)", normalized: true)
    }
    let block = "single_transformer_blocks.\(site.block.layer)", joined: [StreamID] = [.text, .image]
    switch site.point {
    case .residualInput:
      return .init(block, .input(site.stream == .image ? "hidden_states" : "encoder_hidden_states"))
    case .conditioning: return .init(block, .input("temb"))
    case .modulated: return .init("\(block).norm", .output(0), streams: joined)
    case .attentionGate: return .init("\(block).norm", .output(1))
    case .query: return .init("\(block).attn.norm_q", .output(nil), .headsLast, streams: joined)
    case .key: return .init("\(block).attn.norm_k", .output(nil), .headsLast, streams: joined)
    case .value: return .init("\(block).attn.to_v", .output(nil), .mergedHeads, streams: joined)
    case .attentionOutput: return .init("\(block).attn", .output(nil), .mergedHeads, streams: joined)
    case .mlpHidden: return .init("\(block).act_mlp", .output(nil), streams: joined)
    case .residualOutput: return .init(block, .output(site.stream == .image ? 1 : 0))
    default: return nil
    }
  }
}
