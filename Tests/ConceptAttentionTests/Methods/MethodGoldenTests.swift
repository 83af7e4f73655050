import ConceptAttention
import Models
import NN
import Tensor
import TestSupport
import Testing

/// Methods on the hook against their authors' code or a formulation of their own in PyTorch.
@Suite struct MethodGoldenTests {
  @Test(arguments: Golden.runs(MethodKind.self)) func matchesReference(_ run: GoldenRun) throws {
    try Kernels.with(run.kernels) {
      let model = try MethodModel(run.golden)
      let outputs =
        switch try run.golden.kind(MethodKind.self) {
        case .attentionChains: try attentionChains(model)
        case .daam: try daam(model)
        case .goCA: try goCA(model)
        case .gramCol: try gramCol(model)
        case .headAblation: try headAblation(model)
        case .knockout: try knockout(model)
        case .lens: try lens(model)
        case .metagame: try metagame(model)
        case .perturbedGuidance: try perturbedGuidance(model)
        case .principalColors: try principalColors(model)
        case .seg4Diff: try seg4Diff(model)
        case .sparseAutoencoder: try sparseAutoencoder(model)
        case .taca: try taca(model)
        }
      try expectOutputs(run.golden, outputs)
    }
  }
}

// MARK: Maps

private func seg4Diff(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config, block = model.blocks[try #require(config.block.int)]
  let tokens = named(config.class_tokens.lists)
  let published = Seg4Diff(tokens, in: [BlockPattern(block)])
  let raw = Seg4Diff(tokens, in: [BlockPattern(block)], scales: false)
  var perHead: Tensor?
  let reader = BlockReader { view, _ in
    if view.id == block {
      perHead = view.probabilities(query: .image, columns: view.columns(of: .text, readBy: .image))
    }
  }
  let velocity = try model([published, raw, reader])
  #expect(try velocity.isIdentical(to: model()), "\(model.golden.name): looking changes the picture")
  let mean = try published.imageToText(), maps = try published.maps().average
  let regions = Seg4Diff.regions(
    columns: mean[0].take(1, config.pad_tokens.ints), power: try #require(config.power.float),
    threshold: try #require(config.kl_threshold.float))
  return [
    "image_to_text": try #require(perHead), "image_to_text_mean": mean,
    "class_maps_raw": model.picture(try raw.maps().average), "class_maps": model.picture(maps),
    "labels": model.picture(maps).argmax(0), "pad_distance": regions.distances,
    "regions": model.unflattened(regions.maps), "region_labels": model.unflattened(regions.labels),
    "velocity": velocity,
  ]
}

private func metagame(_ model: MethodModel) throws -> [String: Tensor] {
  let embeddings = try #require(model.inputs["concepts"])
  let concepts = ConceptSet(
    (0..<embeddings.shape[1]).map { "\($0)" }, embeddings: embeddings, pooled: model.inputs["concept_pooled"])
  let options = ConceptAttentionOptions(layers: Set(model.golden.config.layers.ints))
  let cached = Metagame(concepts, .softmax, options: options)
  let rerun = Metagame(concepts, .streams, options: options, stream: "rerun")
  #expect(try model([cached, rerun]).isIdentical(to: model()), "\(model.golden.name): riders change the picture")
  // [coalitions, batch, concepts, frames, height, width] without what is 1.
  func flat(_ x: Tensor) -> Tensor { x[.all, 0].flattened(from: 2) }
  func pictures(_ x: Tensor) -> Tensor { model.unflattened(flat(x)) }
  let all = concepts.names.count
  return [
    "logits": flat(try cached.logits())[(1 << all) - 1], "values_cached": flat(try cached.values()),
    "meta_cached": pictures(try cached.attributions()), "logits_rerun": flat(try rerun.logits()),
    "values_rerun": flat(try rerun.values()), "meta_rerun": pictures(try rerun.attributions()),
    "self_cached": model.picture(try cached.maps().average), "self_rerun": model.picture(try rerun.maps().average),
    "shapley_logits_rerun": pictures(shapleyValues(try rerun.logits())),
  ]
}

private func gramCol(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config, embeddings = try #require(model.inputs["concepts"])
  let count = try #require(config.num_concepts.int), frames = model.grid.frames
  let concepts = ConceptSet(
    (0..<embeddings.shape[1]).map { "\($0)" }, embeddings: embeddings, pooled: model.inputs["concept_pooled"])
  var options = ConceptAttentionOptions(layers: Set(config.layers.ints))
  let method = GramCol(concepts, options: options)
  options.normalization = .none
  let logits = GramCol(concepts, options: options, stream: "logits")
  options.normalization = .softmax
  let selected = GramCol(concepts, options: options, topHeads: config.topk_heads.int ?? 1, stream: "selected")
  // Every block that the concepts travel through, chosen or not.
  let everywhere = ConceptAttention(concepts, stream: "all")
  var records: [String: [Tensor]] = [:]
  let reader = BlockReader { view, _ in
    guard let image = view[.image], let own = view["all"] else { return }
    let columns = GramColumns(
      query: image.rotatedQuery, key: own.rotatedKey, output: image.output, frames: frames, scale: view.scale)
    for (name, value) in [
      ("token", columns.matched), ("match_logits", columns.logits), ("gram", columns.gram),
      ("gram_z", columns.standardized), ("chi", frameSeparation(image.output, frames: frames)),
    ] { records[name, default: []].append(value[0]) }
  }
  let velocity = try model([method, logits, selected, everywhere, reader])
  #expect(try velocity.isIdentical(to: model()), "\(model.golden.name): riders change the video")
  var outputs = records.mapValues { stacked($0) }
  func own(_ method: GramCol) throws -> Tensor {
    model.picture(try method.maps().average.narrow(1, from: 0, count: count))
  }
  let z = try #require(outputs["gram_z"]), maps = try own(method)  // [blocks, heads, slots, tokens]
  outputs["gramcol"] = z.sum(1)
  outputs["gramcol_maps"] = maps
  outputs["gramcol_maps_second_softmax"] = maps.softmax(0)
  outputs["gramcol_mean_logits"] = try own(logits)
  outputs["velocity"] = velocity
  if let top = config.topk_heads.int, frames > 1 {
    let best = try #require(outputs["chi"]).topK(top).indices, maps = try own(selected)
    outputs["selected_heads"] = best
    outputs["sel_imap"] = stacked(
      (0..<z.shape[0]).map { z[$0].take(0, best[$0]).mean(0) })
    outputs["sel_maps"] = maps
    outputs["sel_maps_second_softmax"] = maps.softmax(0)
  }
  return outputs
}

private func attentionChains(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config, token = try #require(config.token.int), alpha = try #require(config.alpha.float)
  let chosen = config.blocks.ints.map { model.blocks[$0] }
  var outputs: [String: [Tensor]] = [:], matrices: [Tensor] = []
  let reader = BlockReader { view, _ in
    guard chosen.contains(view.id), let image = view.columns(of: .image, readBy: .image) else { return }
    let whole = view.jointProbabilities[0], chain = MarkovChain(whole), count = whole.shape[1]
    matrices.append(whole)
    var start = Tensor(zeros: [whole.shape[0], count])
    start[.all, token] = Tensor(1)
    let own = MarkovChain(view.probabilities(query: .image, keys: [.image])[0])
    let uniform = Tensor(full: start.shape, 1 / Float(count)), once = chain.step(start)
    do {
      let values = try chain.secondEigenvalue(), weights = (values / values.sum()).unsqueezed(0)
      // Streamed: the weighted matrix is never made.
      let state = start[..<1].unsqueezed(1)
      let twice = view.chained(view.chained(state, headWeights: weights), headWeights: weights)
      let values2: [(String, Tensor)] = [
        ("chain1", once), ("chain2", chain.step(once)), ("uniform_chain1", chain.step(uniform)),
        ("stationary", try chain.teleporting(alpha).stationary()),
        ("stationary_image", try own.teleporting(alpha).stationary()), ("lambda2", values),
        ("lambda2_image", try own.secondEigenvalue()), ("weighted_chain2", twice[0, 0]),
      ]
      for (name, value) in values2 { outputs[name, default: []].append(value) }
      let mass = Tensor(ones: [1, 1, count])
      expectClose(view.chained(mass)[0, 0], whole.mean(0).sum(0), model.golden.tolerance, "column mass")
      expectClose(
        view.gathered(state.transposed())[0], Tensor.matmul(whole.mean(0), state[0].transposed()),
        model.golden.tolerance, "gathered")
      #expect(image.count == model.grid.count)
    } catch { Issue.record("\(model.golden.name) \(view.id): \(error)") }
  }
  _ = try model([reader])
  let mean = concatenated(matrices).mean(0), chain = MarkovChain(mean).teleporting(alpha)
  var start = Tensor(zeros: [mean.shape[0]])
  start[token] = Tensor(1)
  let bounces = try #require(config.bounces.int)
  return outputs.mapValues { stacked($0) }.merging([
    "mean_attention": mean, "bounce_sink": chain.bounces(from: start, count: bounces),
    "bounce_src": chain.reversed.bounces(from: start, count: bounces), "tokenrank_sink": try chain.stationary(),
    "tokenrank_src": try chain.reversed.stationary(),
  ]) { $1 }
}

private func goCA(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config
  var options = GoCA.Options()
  options.headWeighting = try #require(config.head_method.string.flatMap { GoCA.HeadWeighting(rawValue: $0) })
  options.reference = model.blocks[try #require(config.ref_block.int)]
  options.space = Set(config.space_blocks.ints.map { model.blocks[$0] })
  options.order = try #require(config.order.int)
  options.rescaling = config.rescaling_tokens.ints
  let objects = named(config.objects.lists), background = named(config.background.lists, "background ")
  let method = GoCA(objects, background: background, options: options)
  var weights: [Tensor] = [], cross: [Tensor] = []
  let reader = BlockReader { view, _ in
    guard let image = view[.image] else { return }
    let own = GoCA.headWeights(options.headWeighting, image)
    weights.append(own[0].transposed())
    cross.append(view.meanProbabilities(query: .image, key: .text, headWeights: own)[0])
  }
  let velocity = try model([method, reader])
  #expect(try velocity.isIdentical(to: model()), "\(model.golden.name): looking changes the picture")
  // The reference has an empty map where no background is named.
  func withBackground(_ maps: Tensor) -> Tensor {
    background.isEmpty ? concatenated([maps, Tensor(zeros: [1] + maps.shape.dropFirst())]) : maps
  }
  let aggregated = try method.aggregated()[0], all = (config.objects.lists + config.background.lists)
  return [
    "head_weights": stacked(weights), "cross_per_block": stacked(cross), "layer_weights": try method.layerWeights()[0],
    "aggregated": aggregated,
    "class_maps_raw": model.unflattened(stacked(all.map { aggregated.take(1, $0).mean(1) })),
    "class_maps_rescaled": model.picture(try method.rescaled()),
    "class_maps": withBackground(model.picture(try method.maps(spread: false).average)),
    "affinity": try method.affinity()[0], "refined": withBackground(model.picture(try method.maps().average)),
    "velocity": velocity,
  ]
}

private func daam(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config, over = config.normalise_over.ints
  let everything: [BlockPattern] = ["*"]
  let all = RawCrossAttention(in: everything)
  let words = RawCrossAttention(concepts: named(config.words.lists), in: everything)
  let chosen = RawCrossAttention(
    in: config.layers.ints.map { BlockPattern(model.blocks[$0]) }, passes: PassFilter(steps: Set(config.steps.ints)))
  let shares = RawCrossAttention(in: everything, sharesAmong: over[0]..<over[1])
  var maps: [Tensor] = []
  let reader = BlockReader { view, _ in
    maps.append(view.meanProbabilities(query: .image, key: .text)[0].transposed())
  }
  let steps = try model.denoise([all, words, chosen, shares, reader])
  func picture(_ method: RawCrossAttention) throws -> Tensor { model.picture(try method.maps().average) }
  return [
    "step_block_maps": stacked(maps).unflattened(0, -1, model.blocks.count), "maps": try picture(all),
    "selected_maps": try picture(chosen), "word_maps": try picture(words), "maps_normalised": try picture(shares),
    "latents_per_step": stacked(steps.map(\.after)),
  ]
}

// MARK: Changing what attention does

private func perturbedGuidance(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config, scale = try #require(config.scale.float)
  let softness = try #require(config.softness.float), velocity = try model()
  var outputs = ["velocity": velocity], base = velocity
  if let guidance = config.cfg.float {
    let negative = try model(inputs: [
      "txt": try #require(model.inputs["neg_txt"]), "pooled": try #require(model.inputs["neg_pooled"]),
    ])
    outputs["velocity_uncond"] = negative
    base = negative + (velocity - negative) * guidance
  }
  let choices = try config.heads.object.map { block, heads in
    PerturbedAttention.Choice(
      BlockPattern(model.blocks[try #require(Int(block))]), heads: Set(heads.ints))
  }
  for (name, mode) in [
    ("identity_all", PerturbedAttention.Mode.identityAll), ("identity_image", .identityImage),
    ("mask_image", .maskImage),
  ] {
    for (ending, softness) in [("", 1), ("_soft", softness)] {
      let perturbed = try model([PerturbedAttention(choices, mode: mode, softness: softness)])
      outputs["perturbed_\(name)\(ending)"] = perturbed
      outputs["guided_\(name)\(ending)"] = PerturbedAttention.guided(
        base, conditional: velocity, perturbed: perturbed, scale: scale)
    }
  }
  return outputs
}

private func taca(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config, factor = try #require(config.gamma.float)
  let phase = try config.boosted_steps.int.map { TACA.Phase.steps($0) } ?? .noise(#require(config.time_threshold.float))
  var acting: [Float] = []
  var seen: Set<Int> = []
  let reader = BlockReader { _, pass in
    if seen.insert(pass.step).inserted { acting.append(phase.contains(pass) ? factor : 1) }
  }
  let steps = try model.denoise([TACA(factor, during: phase), reader])
  return [
    "pred": stacked(steps.map(\.prediction)), "latents_per_step": stacked(steps.map(\.after)),
    "pred_without": stacked(steps.enumerated().map { model.plain($1.before, at: $0) }), "gamma": Tensor(acting),
  ]
}

private func knockout(_ model: MethodModel) throws -> [String: Tensor] {
  var outputs = ["velocity": try model()]
  for (name, edges) in model.golden.config.edges.object {
    let removed = try edges.array.flatMap { edge in
      let query = StreamID(try #require(edge.query.string)), key = StreamID(try #require(edge.key.string))
      return edge.blocks.ints.map { AttentionKnockout.Edge(query, sees: key, in: BlockPattern(model.blocks[$0])) }
    }
    outputs["\(name)_key"] = try model([AttentionKnockout(removed, removing: .keys)])
    outputs["\(name)_value"] = try model([AttentionKnockout(removed, removing: .values)])
  }
  return outputs
}

private func headAblation(_ model: MethodModel) throws -> [String: Tensor] {
  let means = HeadMeans(), velocity = try model([means]), example = model.golden.config.example.ints
  func all(_ stream: StreamID) throws -> Tensor {
    stacked(try model.blocks.map { try #require(means[Site($0, stream, .attentionOutput)]) })
  }
  func without(_ replacement: HeadAblation.Replacement) throws -> Tensor {
    try model([HeadAblation("\(model.blocks[example[0]]).*.attentionOutput", heads: [example[1]], by: replacement)])
  }
  let mean = try HeadAttribution.measure(on: model.transformer) { try model($0) }
  let zero = try HeadAttribution.measure(on: model.transformer, replacing: .zero) { try model($0) }
  let heads = mean.change.shape[1]
  let ranking = mean.ranking.map { place in
    (model.blocks.firstIndex(of: place.block) ?? -1) * heads + place.head
  }
  return [
    "velocity": velocity, "means_text": try all(.text), "means_image": try all(.image), "table_mean": mean.change,
    "table_zero": zero.change, "velocity_mean_example": try without(.means(means)),
    "velocity_zero_example": try without(.zero), "ranking_mean": Tensor(scalars: ranking),
  ]
}

// MARK: Reading

private func lens(_ model: MethodModel) throws -> [String: Tensor] {
  let lens = OutputLens(), steps = try model.denoise([lens]), blocks = model.blocks.count
  func all(_ value: (OutputLens.Entry) throws -> Tensor) rethrows -> Tensor {
    stacked(try lens.entries.map(value)).unflattened(0, -1, blocks)
  }
  let clean = try all { try #require($0.clean) }
  return [
    "velocity": stacked(steps.map(\.prediction)), "x0": clean[.all, blocks - 1],
    "lens_velocity": all(\.prediction), "lens_x0": clean, "latents_per_step": stacked(steps.map(\.after)),
  ]
}

private func principalColors(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config, block = model.blocks[try #require(config.block.int)]
  let cache = ActivationCache("\(block).image.attentionOutput", "\(block).image.residualOutput")
  _ = try model([cache])
  let attention = try #require(cache["\(block).image.attentionOutput", step: 0]).mergedHeads[0]
  let residual = try #require(cache["\(block).image.residualOutput", step: 0])[0]
  var outputs: [String: Tensor] = [:]
  for (name, tokens) in [("attention", attention), ("residual", residual)] {
    let colors = try PrincipalColors(of: tokens, grid: model.grid)
    let dimension = IntrinsicDimension(of: tokens, discard: try #require(config.discard.double))
    for (part, value) in [
      ("tokens", tokens), ("mean", colors.components.mean), ("components", colors.components.components),
      ("scores", colors.scores), ("variance_share", colors.components.explainedVarianceRatio),
      ("rgb", model.unflattened(colors.colors.flattened(from: 1))),
      ("two_nn", Tensor([Float(dimension.maximumLikelihood), Float(dimension.slope)])),
      ("neighbour_distances", dimension.neighbourDistances),
    ] { outputs["\(name)_\(part)"] = value }
  }
  return outputs
}

private func sparseAutoencoder(_ model: MethodModel) throws -> [String: Tensor] {
  let config = model.golden.config, feature = try #require(config.feature.int)
  func input(_ name: String) throws -> Tensor { try #require(model.inputs[name]) }
  let autoencoder = SparseAutoencoder(
    encoder: try input("W_enc"), encoderBias: try input("b_enc"), decoder: try input("W_dec"),
    decoderBias: try input("b_dec"), activation: .topK(try #require(config.k.int)))
  let block = model.blocks[try #require(config.block.int)], site: SitePattern = "\(block).image.residualOutput"
  let cache = ActivationCache(site), reader = FeatureReader(autoencoder, at: site)
  let velocity = try model([cache, reader])
  let residual = try #require(cache[site.text, step: 0]), activations = try #require(reader.activations[0])
  func edited(_ change: FeatureEdit.Change) throws -> Tensor { try model([FeatureEdit(autoencoder, at: site, change)]) }
  return [
    "residual": residual, "pre_activations": autoencoder.preActivations(residual), "activations": activations,
    "reconstruction": autoencoder.decoded(activations),
    "unexplained_variance": Tensor(autoencoder.unexplainedVariance(of: residual)),
    "feature_mean": try #require(reader.featureMean), "velocity": velocity,
    "velocity_steered": try edited(.steer(feature: feature, strength: try #require(config.strength.float))),
    "velocity_clamped": try edited(.clamp(feature: feature, to: try #require(config.clamp.float))),
    "velocity_spliced": try edited(.splice),
  ]
}
