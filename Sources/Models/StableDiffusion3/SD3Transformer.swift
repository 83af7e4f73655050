import NN
import Tensor

/// The denoising transformer of Stable Diffusion 3 and 3.5: joint blocks, the last of which has no text output. It
/// gives the velocity, `[batch, outChannels, height, width]`.
///
/// Source: arXiv 2403.03206; diffusers `SD3Transformer2DModel`; Stability AI sd3.5 `mmditx.py`.
public struct SD3Transformer: JointTransformer {
  public let config: SD3Config
  public var patchEmbedding: PatchEmbedding
  public var textEmbedder: Linear
  public var timeTextEmbedding: TimestepTextEmbedding
  public var transformerBlocks: [SD3Block]
  public var outputNorm: AdaLayerNormContinuous
  public var output: Linear
  public var residency: (any BlockResidency)?

  public init(_ config: SD3Config, _ w: Weights) {
    self.config = config
    let dim = config.dim
    patchEmbedding = PatchEmbedding(
      channels: config.inChannels, dim: dim, patchSize: config.patchSize, sampleSize: config.sampleSize,
      maxSize: config.posEmbedMaxSize, w["pos_embed"])
    textEmbedder = Linear(config.jointAttentionDim, dim, w["context_embedder"])
    timeTextEmbedding = TimestepTextEmbedding(dim, pooledDim: config.pooledProjectionDim, w["time_text_embed"])
    transformerBlocks = (0..<config.numLayers).map { layer in
      SD3Block(
        dim: dim, heads: config.numAttentionHeads, queryKeyNorm: config.queryKeyNorm,
        contextPreOnly: layer == config.numLayers - 1, dualAttention: config.dualAttentionLayers.contains(layer),
        w["transformer_blocks"][layer])
    }
    outputNorm = AdaLayerNormContinuous(dim, conditioningDim: dim, w["norm_out"])
    output = Linear(dim, config.patchSize * config.patchSize * config.outChannels, w["proj_out"])
  }

  /// What one pass is given.
  public struct Input: Sendable {
    /// `[batch, inChannels, height, width]`, sides multiples of the patch size.
    public var latents: Tensor
    /// The assembled prompt, `[batch, tokens, jointAttentionDim]`.
    public var text: Tensor
    /// Pooled CLIP vectors, `[batch, pooledProjectionDim]`.
    public var pooled: Tensor
    /// What the model is told of the noise, 0 … 1000, per picture.
    public var timestep: [Float]
    /// Blocks that are passed over: the weaker model of skip-layer guidance.
    public var skippedLayers: Set<Int>

    public init(latents: Tensor, text: Tensor, pooled: Tensor, timestep: [Float], skippedLayers: Set<Int> = []) {
      self.latents = latents
      self.text = text
      self.pooled = pooled
      self.timestep = timestep
      self.skippedLayers = skippedLayers
    }
  }

  public func running(_ input: Input) -> [(any JointBlock, BlockID)] {
    zip(jointBlocks, blocks).filter { !input.skippedLayers.contains($1.layer) }.map { ($0, $1) }
  }

  // MARK: Hooks

  public var jointBlocks: [any JointBlock] { transformerBlocks }
  public var blocks: [BlockID] { transformerBlocks.indices.map { BlockID("joint", $0) } }
  public var textFamily: String { "joint" }
  public func parameterPath(of block: BlockID) -> String? { "transformer_blocks.\(block.layer)" }

  public func streams(in block: BlockID) -> [StreamID] { [.image, .text] }

  public func points(of stream: StreamID, in block: BlockID) -> [Site.Point] {
    let isDual = stream == .image && config.dualAttentionLayers.contains(block.layer)
    let endsAtAttention = stream == .text && block.layer == config.numLayers - 1
    return Site.Point.allCases.filter { point in
      switch point {
      case .rotatedQuery, .rotatedKey: false
      case _ where point.isOfSecondAttention: isDual
      case .residualInput, .conditioning, .attentionShift, .attentionScale, .modulated, .query, .key, .value,
        .attentionOutput:
        true
      default: !endsAtAttention
      }
    }
  }

  // MARK: Streams

  /// The streams as they enter the first block, and the output layers.
  public func streams(_ input: Input, _ hooks: HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor) {
    let conditioning = timeTextEmbedding(timestep: input.timestep, pooled: input.pooled)
    let reads: Set<StreamID> = [.image, .text]
    var streams = [
      Stream(.image, tokens: patchEmbedding(input.latents), conditioning: conditioning, reads: reads),
      Stream(.text, tokens: textEmbedder(input.text), conditioning: conditioning, reads: reads),
    ]
    hooks?.board(&streams) { stream(for: $0, input, conditioning) }
    let readOut = { (tokens: Tensor) in
      output(outputNorm(tokens, conditioning)).rearranged(
        "b (h w) (p q c) -> b c (h p) (w q)",
        ["h": input.latents.shape[2] / config.patchSize, "p": config.patchSize, "q": config.patchSize])
    }
    hooks?.readOut = readOut
    return (streams, readOut)
  }

  /// Unless it brings a pooled vector, a rider is modulated as the prompt is.
  private func stream(for rider: Rider, _ input: Input, _ conditioning: Tensor) -> Stream {
    let batch = input.latents.shape[0]
    let own = rider.pooled.map {
      timeTextEmbedding(
        timestep: input.timestep, pooled: $0.broadcast(to: [batch, config.pooledProjectionDim]).contiguous())
    }
    let tokens = rider.processedAs == .image ? patchEmbedding(rider.embeddings) : textEmbedder(rider.embeddings)
    return Stream(rider, tokens: tokens, conditioning: own ?? conditioning, batch: batch)
  }
}
