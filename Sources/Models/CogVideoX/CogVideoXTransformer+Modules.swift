import NN

extension CogVideoXTransformer {
  /// Source: diffusers `CogVideoXBlock`, whose attention and MLP see text and video tokens together.
  public func moduleTensor(of site: Site) -> ModuleTensor? {
    guard site.stream == .image || site.stream == .text else { return nil }
    let block = "transformer_blocks.\(site.block.layer)", joined: [StreamID] = [.text, .image]
    let isVideo = site.stream == .image
    switch site.point {
    case .residualInput: return .init(block, .input(isVideo ? "hidden_states" : "encoder_hidden_states"))
    case .conditioning: return .init(block, .input("temb"))
    case .modulated: return .init("\(block).norm1", .output(isVideo ? 0 : 1))
    case .attentionGate: return .init("\(block).norm1", .output(isVideo ? 2 : 3), .withTokenAxis)
    case .query: return .init("\(block).attn1.norm_q", .output(nil), streams: joined)
    case .key: return .init("\(block).attn1.norm_k", .output(nil), streams: joined)
    case .value: return .init("\(block).attn1.to_v", .output(nil), .mergedHeads, streams: joined)
    case .attentionOutput: return .init("\(block).attn1.to_out.0", .input(nil), .mergedHeads, streams: joined)
    case .attentionProjected: return .init("\(block).attn1.to_out.0", .output(nil), streams: joined)
    case .residualMiddle: return .init("\(block).norm2", .argument(isVideo ? 0 : 1))
    case .mlpInput: return .init("\(block).ff", .input(nil), streams: joined)
    case .mlpGate: return .init("\(block).norm2", .output(isVideo ? 2 : 3), .withTokenAxis)
    case .mlpHidden: return .init("\(block).ff.net.2", .input(nil), streams: joined)
    case .mlpOutput: return .init("\(block).ff", .output(nil), streams: joined)
    case .residualOutput: return .init(block, .output(isVideo ? 0 : 1))
    default: return nil
    }
  }
}
