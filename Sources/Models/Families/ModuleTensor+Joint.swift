import NN

// What diffusers' joint blocks have in common: FLUX's double blocks and those of Stable Diffusion 3.

extension ModuleTensor {
  /// - Parameters:
  ///   - block: `transformer_blocks.3`
  ///   - normalized: whether queries and keys pass norms of their own
  static func ofJointBlock(_ site: Site, _ block: String, normalized: Bool) -> ModuleTensor? {
    let isImage = site.stream == .image
    func own(_ image: String, _ text: String) -> String { "\(block).\(isImage ? image : text)" }
    let norm1 = own("norm1", "norm1_context"), mlp = own("ff", "ff_context")
    let output = own("attn.to_out.0", "attn.to_add_out")
    switch site.point {
    case .residualInput: return .init(block, .input(isImage ? "hidden_states" : "encoder_hidden_states"))
    case .conditioning: return .init(block, .input("temb"))
    case .modulated: return .init(norm1, .output(0))
    case .attentionGate: return .init(norm1, .output(1))
    case .mlpShift: return .init(norm1, .output(2))
    case .mlpScale: return .init(norm1, .output(3))
    case .mlpGate: return .init(norm1, .output(4))
    case .query:
      return normalized
        ? .init(own("attn.norm_q", "attn.norm_added_q"), .output(nil), site.normLayout)
        : .init(own("attn.to_q", "attn.add_q_proj"), .output(nil), .mergedHeads)
    case .key:
      return normalized
        ? .init(own("attn.norm_k", "attn.norm_added_k"), .output(nil), site.normLayout)
        : .init(own("attn.to_k", "attn.add_k_proj"), .output(nil), .mergedHeads)
    case .value: return .init(own("attn.to_v", "attn.add_v_proj"), .output(nil), .mergedHeads)
    case .attentionOutput: return .init(output, .input(nil), .mergedHeads)
    case .attentionProjected: return .init(output, .output(nil))
    case .residualMiddle: return .init(own("norm2", "norm2_context"), .input(nil))
    case .mlpInput: return .init(mlp, .input(nil))
    case .mlpHidden: return .init("\(mlp).net.2", .input(nil))
    case .mlpOutput: return .init(mlp, .output(nil))
    case .residualOutput: return .init(block, .output(isImage ? 1 : 0))
    default: return nil
    }
  }
}

extension Site {
  /// FLUX's code norms `[batch, tokens, heads, headDim]`, the others' `[batch, heads, tokens, headDim]`.
  fileprivate var normLayout: ModuleTensor.Layout { block.family == "double" ? .headsLast : .asHere }
}
