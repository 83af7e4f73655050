import NN
import Tensor

/// Roughly how long a run takes on this machine, without reading files and encoding prompts: from one block and a small
/// decoding, measured.
public struct TimeEstimate: Sendable, Equatable {
  /// Of all steps, in seconds.
  public let transformer: Double
  /// Of latents to pictures, in seconds.
  public let decoding: Double
  public let steps: Int
  /// Of the transformer, per step.
  public let passes: Int

  public var total: Double { transformer + decoding }
}

extension DenoisingPipeline {
  /// Takes a few seconds with a large model: a block is run over some of the tokens only, and its attention, which grows
  /// with their square, on some of the queries.
  public func timeEstimate(_ plan: GenerationPlan) throws -> TimeEstimate {
    let pictures = Double(plan.prompts.count), tokens = plan.grid.count + plan.maxSequenceLength
    let block = try blockSeconds(plan, tokens: tokens), passes = plan.passes.count
    return TimeEstimate(
      transformer: block * Double(transformer.blocks.count * passes) * pictures,
      decoding: decodingSeconds(plan.size) * pictures, steps: plan.levels.count,
      passes: (passes + plan.levels.count - 1) / plan.levels.count)
  }

  /// One block over all tokens of one picture.
  private func blockSeconds(_ plan: GenerationPlan, tokens: Int) throws -> Double {
    let clock = BlockClock()
    // The first pass brings the block's weights into memory.
    try look(plan, grid: TokenGrid(height: min(plan.grid.height, 2), width: min(plan.grid.width, 2)), clock)
    let part =
      plan.grid.count <= 1024
      ? plan.grid : TokenGrid(height: min(plan.grid.height, 32), width: min(plan.grid.width, 32))
    try look(plan, grid: part, clock)
    guard part.count < plan.grid.count else { return clock.seconds }
    // Everything but the attention grows with the tokens.
    let looked = Double(part.count + plan.maxSequenceLength), all = Double(tokens)
    let perScore = clock.secondsPerScore(keys: tokens)
    return max(clock.seconds - perScore * looked * looked, 0) * all / looked + perScore * all * all
  }

  /// A pass through the first block, over noise.
  private func look(_ plan: GenerationPlan, grid: TokenGrid, _ clock: BlockClock) throws {
    let size = FrameSize(frames: 1, height: grid.height * sizeMultiple, width: grid.width * sizeMultiple)
    let isWhole = grid == plan.grid
    var generator = Generator(seed: 0)
    let shape = latentShape(isWhole ? plan.size : size, batch: 1)
    let latents = packed(generator.randn(shape))
    let pass = Pass(plan.levels[0], branch: .conditional, grid: grid, batch: 1)
    let text = EncodedPrompts(
      states: generator.randn([1, plan.maxSequenceLength, promptWidths.states]),
      pooled: generator.randn([1, promptWidths.pooled]))
    let input = DenoiserInput(
      latents: latents, image: settings.imageUse == .firstFrame ? latents : nil, text: text,
      timestep: plan.levels[0].timestep, guidance: plan.guidance.distilled)
    let hooks = try HookRun([clock], on: transformer, pass: pass)
    denoiser.look(transformerInput(input, positions(grid: grid)), hooks: hooks)
  }

  /// From a small piece, by pixels.
  private func decodingSeconds(_ size: FrameSize) -> Double {
    let side = max(64 / codec.scale, 1) * codec.scale
    let piece = FrameSize(frames: min(size.frames, 5), height: min(size.height, side), width: min(size.width, side))
    var generator = Generator(seed: 0)
    let latents = generator.randn(codec.latentShape(piece, batch: 1))
    // The first pass brings the weights into memory.
    _ = codec.frames(of: latents.narrow(1, from: 0, count: latents.rank == 5 ? 1 : latents.shape[1]))
    var watch = Stopwatch()
    _ = codec.frames(of: latents)
    return watch.lap() * Double(codec.decodedPixels(size)) / Double(codec.decodedPixels(piece))
  }
}

/// Measures the first block of a pass.
private final class BlockClock: AttentionProcessor {
  private(set) var seconds = 0.0
  /// Of the block's attention.
  private(set) var attention: (heads: Int, dim: Int, precision: AttentionPrecision)?
  private var begin = ContinuousClock.now

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    guard let first = model.blocks.first else { return }
    hooks.read("\(first).image.residualInput") { [self] _, _, _ in begin = .now }
    hooks.observe(BlockPattern(first)) { [self] view, _ in
      guard let image = view.streams.first(where: { $0.id == .image }) else { return }
      let shape = image.query.shape
      attention = (shape[1], shape[3], image.projection?.attentionPrecision ?? .f32)
    }
    // The last stream to leave ends the block.
    hooks.read("\(first).*.residualOutput") { [self] _, _, _ in seconds = (ContinuousClock.now - begin) / .seconds(1) }
  }

  /// What one query takes for one key, in all heads.
  func secondsPerScore(keys: Int) -> Double {
    guard let (heads, dim, precision) = attention else { return 0 }
    let queries = min(keys, 256)
    var generator = Generator(seed: 1)
    let query = generator.randn([1, heads, queries, dim]), key = generator.randn([1, heads, keys, dim])
    _ = scaledDotProductAttention(query: query, key: query, value: query, precision: precision)
    var watch = Stopwatch()
    _ = scaledDotProductAttention(query: query, key: key, value: key, precision: precision)
    return watch.lap() / Double(queries) / Double(keys)
  }
}
