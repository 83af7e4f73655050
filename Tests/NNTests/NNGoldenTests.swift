import NN
import Tensor
import TestSupport
import Testing

/// Every layer against PyTorch and diffusers, alone and on every instruction set.
@Suite struct NNGoldenTests {
  @Test(arguments: Golden.runs(NNKind.self)) func matchesReference(_ run: GoldenRun) throws {
    try Kernels.with(run.kernels) {
      try expectOutputs(run.golden, outputs(of: run.golden))
    }
  }

  private func outputs(of golden: GoldenCase) throws -> [String: Tensor] {
    let inputs = try golden.inputs()
    switch try golden.kind(NNKind.self) {
    case .adaptiveNorm: return try adaptiveNorm(golden, inputs)
    case .causalConv3d: return try causalConv3d(inputs)
    case .feedForward: return try feedForward(golden, inputs)
    case .patchEmbedding: return try patchEmbedding(golden, inputs)
    case .positions3D: return try positions3D(golden)
    case .rotaryFlux: return try rotaryFlux(golden, inputs)
    case .rotaryCogVideoX: return try rotaryCogVideoX(golden, inputs)
    case .relativePositionBias: return try relativePositionBias(golden, inputs)
    case .timestepEmbedding: return try timestepEmbedding(golden, inputs)
    case .timestepMLP: return try timestepMLP(golden, inputs)
    }
  }

  /// The module's weights, `w.<parameter>` among the inputs.
  private func module<Layer>(_ inputs: [String: Tensor], _ build: (Weights) throws -> Layer) throws -> Layer {
    let weights = inputs.filter { $0.key.hasPrefix("w.") }.map { (String($0.key.dropFirst(2)), $0.value) }
    return try load(from: DictionaryWeights(Dictionary(uniqueKeysWithValues: weights)), build)
  }

  private func adaptiveNorm(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let x = try #require(inputs["x"]), conditioning = try #require(inputs["emb"])
    let args = golden.config.args, dim = x.shape[2]
    switch try #require(golden.config["class"].string) {
    case "AdaLayerNormZero":
      let layer = try module(inputs) { AdaLayerNormZero(dim, $0) }, m = layer.modulations([conditioning])[0]
      return [
        "x": layer(x, m), "gate_msa": m.attention.gate, "shift_mlp": m.mlp.shift, "scale_mlp": m.mlp.scale,
        "gate_mlp": m.mlp.gate,
      ]
    case "AdaLayerNormZeroSingle":
      let layer = try module(inputs) { AdaLayerNormZeroSingle(dim, $0) }, m = layer.modulations([conditioning])[0]
      return ["x": layer(x, m), "gate_msa": m.gate]
    case "AdaLayerNormContinuous":
      #expect(args.elementwise_affine.bool == false)
      let layer = try module(inputs) {
        AdaLayerNormContinuous(dim, conditioningDim: conditioning.shape[1], eps: args.eps.float ?? 1e-5, $0)
      }
      return ["y": layer(x, conditioning)]
    case "SD35AdaLayerNormZeroX":
      let layer = try module(inputs) { SD35AdaLayerNormZeroX(dim, $0) }, m = layer.modulations([conditioning])[0]
      let dual = try #require(m.dual)
      return [
        "x": layer(x, m), "gate_msa": m.attention.gate, "shift_mlp": m.mlp.shift, "scale_mlp": m.mlp.scale,
        "gate_mlp": m.mlp.gate, "x2": layer.norm(x, dual), "gate_msa2": dual.gate,
      ]
    case "CogVideoXLayerNormZero":
      let layer = try module(inputs) {
        CogVideoXLayerNormZero(
          conditioningDim: conditioning.shape[1], dim, elementwiseAffine: args.elementwise_affine.bool ?? true,
          eps: args.eps.float ?? 1e-5, bias: args.bias.bool ?? true, $0)
      }
      let m = layer.modulations([conditioning])[0]
      return [
        "x": layer(x, m.video), "enc": layer(try #require(inputs["enc"]), m.text),
        "gate": m.video.gate.unsqueezed(1), "enc_gate": m.text.gate.unsqueezed(1),
      ]
    case "AdaLayerNorm":
      let layer = try module(inputs) {
        AdaLayerNorm(
          conditioningDim: conditioning.shape[1], dim, elementwiseAffine: args.norm_elementwise_affine.bool ?? false,
          eps: args.norm_eps.float ?? 1e-5, $0)
      }
      return ["y": layer(x, conditioning)]
    case let other:
      Issue.record("\(golden.name): unknown class \(other)")
      return [:]
    }
  }

  private func causalConv3d(_ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let weight = try #require(inputs["w.conv.weight"])
    let layer = try module(inputs) { CausalConv3d(weight.shape[1], weight.shape[0], kernel: weight.shape[2], $0) }
    var cache: Tensor?
    var outputs = ["y": layer(try #require(inputs["x"]), cache: &cache)]
    outputs["cache"] = cache
    var last = cache
    let next = try #require(inputs["x_next"]), y = layer(next, cache: &cache)
    outputs["y_next_with_cache"] = y
    outputs["cache_next"] = cache
    #expect(layer(next, cache: &last, isLast: true).isIdentical(to: y) && last == nil)
    return outputs
  }

  private func feedForward(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let x = try #require(inputs["x"]), dim = x.shape[2]
    if golden.config.variant.string == "t5_gated_gelu" {
      let renamed = inputs.filter { $0.key.hasPrefix("w") }.map { ("\($0.key).weight", $0.value) }
      let hidden = try #require(inputs["wi_0"]).shape[0]
      let layer = try load(from: DictionaryWeights(Dictionary(uniqueKeysWithValues: renamed))) {
        GatedFeedForward(dim, hidden: hidden, $0)
      }
      return ["y": layer(x)]
    }
    let variant = try #require(golden.config.variant.string.flatMap(FeedForward.Variant.init))
    return ["y": try module(inputs) { FeedForward(dim, variant: variant, $0) }(x)]
  }

  private func patchEmbedding(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let args = golden.config.args
    let patch = try #require(args.patch_size.int)
    let layer = try module(inputs) {
      PatchEmbedding(
        channels: args.in_channels.int ?? 0, dim: args.embed_dim.int ?? 0, patchSize: patch,
        sampleSize: args.height.int ?? 0, maxSize: args.pos_embed_max_size.int ?? 0, $0)
    }
    let height = try #require(golden.config.h.int), width = try #require(golden.config.w.int)
    return [
      "full_table": layer.positions.unsqueezed(0),
      "cropped": layer.croppedPositions(height: height / patch, width: width / patch).unsqueezed(0),
      "y": layer(try #require(inputs["x"])),
    ]
  }

  private func positions3D(_ golden: GoldenCase) throws -> [String: Tensor] {
    let c = golden.config
    return [
      "y": sinCosPositions3D(
        dim: try #require(c.dim.int), height: try #require(c.h.int), width: try #require(c.w.int),
        frames: try #require(c.frames.int), spatialScale: try #require(c.spatial_scale.float),
        temporalScale: try #require(c.temporal_scale.float))
    ]
  }

  private func rotaryFlux(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let table = RotaryTable.flux(
      ids: try #require(inputs["ids"]), axes: golden.config.axes.ints, theta: golden.config.theta.double ?? 10000)
    let q = try #require(inputs["q"])  // [batch, tokens, heads, headDim]
    return ["cos": table.cos, "sin": table.sin, "q_rot": table.rotate(q.transposed(1, 2)).transposed(1, 2)]
  }

  private func rotaryCogVideoX(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let args = golden.config.args
    let corners = args.crops_coords.array.map { $0.array.compactMap(\.float) }
    let table = RotaryTable.cogVideoX(
      headDim: try #require(args.embed_dim.int), frames: try #require(args.temporal_size.int),
      height: args.grid_size.ints[0], width: args.grid_size.ints[1],
      grid: args.grid_type.string == "slice"
        ? .slice : .linspace(top: corners[0][0], left: corners[0][1], bottom: corners[1][0], right: corners[1][1]))
    return ["cos": table.cos, "sin": table.sin, "q_rot": table.rotate(try #require(inputs["q"]))]
  }

  private func relativePositionBias(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let table = try #require(inputs["table"]), maxDistance = try #require(golden.config.max_distance.int)
    let queries = try #require(inputs["context_position"]).count, keys = try #require(inputs["memory_position"]).count
    let layer = try load(from: DictionaryWeights(["weight": table])) {
      RelativePositionBias(buckets: table.shape[0], heads: table.shape[1], maxDistance: maxDistance, $0)
    }
    let buckets = RelativePositionBias.buckets(
      queries: queries, keys: keys, count: table.shape[0], maxDistance: maxDistance)
    return [
      "buckets": Tensor(scalars: buckets, shape: [queries, keys]), "bias": layer(queries: queries, keys: keys),
    ]
  }

  private func timestepEmbedding(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let c = golden.config
    return [
      "y": NN.timestepEmbedding(
        try #require(inputs["t"]).floats, dim: try #require(c.dim.int), flipSinToCos: c.flip_sin_to_cos.bool ?? false,
        frequencyShift: c.freq_shift.float ?? 0)
    ]
  }

  private func timestepMLP(_ golden: GoldenCase, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
    let args = golden.config.args, guidance = inputs["guidance"]?.floats
    let layer = try module(inputs) {
      TimestepTextEmbedding(
        args.embedding_dim.int ?? 0, pooledDim: args.pooled_projection_dim.int ?? 0, guidance: guidance != nil, $0)
    }
    return [
      "y": layer(
        timestep: try #require(inputs["timestep"]).floats, guidance: guidance, pooled: try #require(inputs["pooled"]))
    ]
  }
}
