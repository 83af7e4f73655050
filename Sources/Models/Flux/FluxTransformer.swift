import NN
import Tensor

/// The denoising transformer of FLUX.1: double blocks, then single blocks. It gives the velocity, `[batch, grid.count,
/// outChannels]`.
///
/// Source: diffusers `FluxTransformer2DModel`; black-forest-labs/flux `model.py`.
public struct FluxTransformer: JointTransformer {
  public let config: FluxConfig
  public var imageEmbedder, textEmbedder: Linear
  public var timeTextEmbedding: TimestepTextEmbedding
  public var doubleBlocks: [FluxDoubleBlock]
  public var singleBlocks: [FluxSingleBlock]
  public var outputNorm: AdaLayerNormContinuous
  public var output: Linear
  public var residency: (any BlockResidency)?

  public init(_ config: FluxConfig, _ w: Weights) {
    self.config = config
    let dim = config.dim
    imageEmbedder = Linear(config.inChannels, dim, w["x_embedder"])
    textEmbedder = Linear(config.jointAttentionDim, dim, w["context_embedder"])
    timeTextEmbedding = TimestepTextEmbedding(
      dim, pooledDim: config.pooledProjectionDim, guidance: config.guidanceEmbeds, w["time_text_embed"])
    doubleBlocks = (0..<config.numLayers).map { FluxDoubleBlock(config, w["transformer_blocks"][$0]) }
    singleBlocks = (0..<config.numSingleLayers).map { FluxSingleBlock(config, w["single_transformer_blocks"][$0]) }
    outputNorm = AdaLayerNormContinuous(dim, conditioningDim: dim, w["norm_out"])
    output = Linear(dim, config.outChannels ?? config.inChannels, w["proj_out"])
  }

  /// What one pass is given.
  public struct Input: Sendable {
    /// Packed latents, `[batch, grid.count, inChannels]`.
    public var image: Tensor
    /// T5 hidden states, `[batch, tokens, jointAttentionDim]`.
    public var text: Tensor
    /// Pooled CLIP vector, `[batch, pooledProjectionDim]`.
    public var pooled: Tensor
    /// What the model is told of the noise, 0 … 1000, per picture.
    public var timestep: [Float]
    /// Distilled guidance scale per picture, for a model with guidance embedding.
    public var guidance: [Float]?
    /// Positions of the image tokens, from `positions(grid:)`. Text tokens all stand at the origin, where the rotation
    /// is the identity.
    public var positions: RotaryTable

    public init(
      image: Tensor, text: Tensor, pooled: Tensor, timestep: [Float], guidance: [Float]? = nil, positions: RotaryTable
    ) {
      self.image = image
      self.text = text
      self.pooled = pooled
      self.timestep = timestep
      self.guidance = guidance
      self.positions = positions
    }
  }

  /// Positions of a grid of image tokens, row by row.
  public func positions(grid: TokenGrid) -> RotaryTable {
    var ids: [Float] = []
    for row in 0..<grid.height {
      for column in 0..<grid.width { ids += [0, Float(row), Float(column)] }
    }
    return .flux(ids: Tensor(ids, shape: [grid.count, 3]), axes: config.axesDimsRope)
  }

  // MARK: Hooks

  public var blocks: [BlockID] {
    doubleBlocks.indices.map { BlockID("double", $0) } + singleBlocks.indices.map { BlockID("single", $0) }
  }
  public var textFamily: String { "double" }
  public func parameterPath(of block: BlockID) -> String? {
    block.family == "double" ? "transformer_blocks.\(block.layer)" : "single_transformer_blocks.\(block.layer)"
  }
  public var jointBlocks: [any JointBlock] { doubleBlocks + singleBlocks }

  public func streams(in block: BlockID) -> [StreamID] { [.text, .image] }

  public func points(of stream: StreamID, in block: BlockID) -> [Site.Point] {
    Site.Point.allCases.filter { point in
      switch point {
      case .rotatedQuery, .rotatedKey: stream == .image
      case .mlpShift, .mlpScale, .mlpGate, .mlpInput, .residualMiddle: block.family == "double"
      case _ where point.isOfSecondAttention: false
      default: true
      }
    }
  }

  // MARK: Streams

  /// The streams as they enter the first block, and the output layers.
  public func streams(_ input: Input, _ hooks: HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor) {
    var streams = nativeStreams(input)
    hooks?.board(&streams) { stream(for: $0, input) }
    let conditioning = streams[.image].conditioning
    let readOut = { (tokens: Tensor) in output(outputNorm(tokens, conditioning)) }
    hooks?.readOut = readOut
    return (streams, readOut)
  }

  private func nativeStreams(_ input: Input) -> [Stream] {
    let conditioning = conditioning(input, pooled: input.pooled)
    let reads: Set<StreamID> = [.text, .image]
    return [
      Stream(.text, tokens: textEmbedder(input.text), conditioning: conditioning, reads: reads),
      Stream(
        .image, tokens: imageEmbedder(input.image), conditioning: conditioning, rotary: input.positions, reads: reads),
    ]
  }

  /// A rider stands at the origin, like text; unless it brings a pooled vector its conditioning has a zero one.
  private func stream(for rider: Rider, _ input: Input) -> Stream {
    let batch = input.image.shape[0]
    let pooled = rider.pooled ?? Tensor(zeros: [1, config.pooledProjectionDim])
    let embedder = rider.processedAs == .image ? imageEmbedder : textEmbedder
    return Stream(
      rider, tokens: embedder(rider.embeddings),
      conditioning: conditioning(input, pooled: pooled.broadcast(to: [batch, config.pooledProjectionDim])),
      batch: batch)
  }

  private func conditioning(_ input: Input, pooled: Tensor) -> Tensor {
    timeTextEmbedding(
      timestep: input.timestep, guidance: input.guidance?.map { $0 * 1000 }, pooled: pooled)
  }
}
