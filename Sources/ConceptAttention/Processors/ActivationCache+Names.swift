import Formats
import Foundation
import NN
import Tensor

/// By whose names activations go elsewhere.
public enum ActivationNaming: String, Sendable, CaseIterable {
  /// diffusers' modules with a side: `transformer_blocks.3.attn.to_v.output`.
  case diffusers
  /// What one writes with nnsight around a diffusers pipeline: `transformer.transformer_blocks[3].attn.to_v.output`.
  case nnsight
  /// TransformerLens' hook points, blocks counted through the model and a stream in front:
  /// `image.blocks.3.attn.hook_v`.
  case transformerLens = "transformer-lens"
}

extension ActivationCache {
  /// The tensors of one pass under others' names and in their layouts: heads after tokens or merged, streams that share a module
  /// one after the other. What has no place there, or lies together with a stream that was not kept, stays under its own name.
  ///
  /// - Parameter model: whose sites these are, with everything of every token kept
  public func named(
    _ naming: ActivationNaming, on model: any StreamModel, step: Int, branch: Pass.Branch = .conditional
  ) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    let sites = Dictionary(model.sites.map { ($0.description, $0) }) { first, _ in first }
    for (key, tensor) in tensors where key.step == step && key.branch == branch {
      guard let site = sites[key.site], let (name, found) = named(naming, site, tensor, model, key) else {
        result[key.site] = tensor.contiguous()
        continue
      }
      result[name] = found.contiguous()
    }
    return result
  }

  /// The tensors of all passes, with what tells them apart behind their names: `….output@2.conditional`.
  public func named(_ naming: ActivationNaming, on model: any StreamModel) -> [String: Tensor] {
    kept.reduce(into: [:]) { all, pass in
      for (name, tensor) in named(naming, on: model, step: pass.step, branch: pass.branch) {
        all["\(name)@\(pass.step).\(pass.branch.rawValue)"] = tensor
      }
    }
  }

  /// Writes a file for every pass, `step-2.conditional.safetensors`, with `named`'s tensors.
  ///
  /// - Returns: the paths
  @discardableResult public func export(
    _ naming: ActivationNaming, on model: any StreamModel, to folder: String
  ) throws -> [String] {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return try kept.map { pass in
      let path = "\(folder)/step-\(pass.step).\(pass.branch.rawValue).safetensors"
      try SafetensorsFile.write(
        named(naming, on: model, step: pass.step, branch: pass.branch), to: path,
        metadata: ["format": "activations", "names": naming.rawValue])
      return path
    }
  }

  private struct KeptPass: Hashable {
    let step: Int
    let branch: Pass.Branch
  }

  private var kept: [KeptPass] {
    Set(tensors.keys.map { KeptPass(step: $0.step, branch: $0.branch) })
      .sorted { ($0.step, $0.branch.rawValue) < ($1.step, $1.branch.rawValue) }
  }

  private func named(
    _ naming: ActivationNaming, _ site: Site, _ tensor: Tensor, _ model: any StreamModel, _ key: Key
  ) -> (name: String, tensor: Tensor)? {
    if naming == .transformerLens {
      guard let block = model.blocks.firstIndex(of: site.block), let hook = site.point.transformerLensName else {
        return nil
      }
      return ("\(site.stream).blocks.\(block).\(hook)", tensor.rank == 4 ? tensor.transposed(1, 2) : tensor)
    }
    guard let module = model.moduleTensor(of: site) else { return nil }
    var parts = [tensor]
    if !module.streams.isEmpty {
      parts = module.streams.compactMap {
        tensors[Key(Site(site.block, $0, site.point).description, step: key.step, branch: key.branch)]
      }
      if parts.count < module.streams.count { return nil }
    }
    let laid = parts.map { $0.laid(module.layout) }, name = naming == .nnsight ? module.accessor : module.description
    let axis = module.layout == .asHere && tensor.rank == 4 ? 2 : 1
    return (
      naming == .nnsight ? "transformer.\(name)" : name, laid.count == 1 ? laid[0] : concatenated(laid, axis: axis)
    )
  }
}

extension Tensor {
  fileprivate func laid(_ layout: ModuleTensor.Layout) -> Tensor {
    switch layout {
    case .asHere: self
    case .mergedHeads: mergedHeads
    case .headsLast: transposed(1, 2)
    case .withTokenAxis: unsqueezed(1)
    }
  }
}

extension Site.Point {
  fileprivate var transformerLensName: String? {
    switch self {
    case .residualInput: "hook_resid_pre"
    case .modulated: "ln1.hook_normalized"
    case .query: "attn.hook_q"
    case .key: "attn.hook_k"
    case .value: "attn.hook_v"
    case .rotatedQuery: "attn.hook_rot_q"
    case .rotatedKey: "attn.hook_rot_k"
    case .attentionOutput: "attn.hook_z"
    case .attentionProjected: "hook_attn_out"
    case .residualMiddle: "hook_resid_mid"
    case .mlpInput: "ln2.hook_normalized"
    case .mlpHidden: "mlp.hook_post"
    case .mlpOutput: "hook_mlp_out"
    case .residualOutput: "hook_resid_post"
    default: nil
    }
  }
}
