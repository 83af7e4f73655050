import NN
import Tensor

/// The denoising transformer of CogVideoX: blocks in which text and video tokens share all weights but the modulation.
/// It gives what the noise is made from, `[batch, frames, outChannels, height, width]`.
///
/// Source: arXiv 2408.06072; diffusers `CogVideoXTransformer3DModel`.
public struct CogVideoXTransformer: JointTransformer {
  public let config: CogVideoXConfig
  public var patchEmbedder, textEmbedder: Linear
  /// `[1, maxTextSequenceLength + tokens, dim]`, for the one size of video the model is made for.
  public var learnedPositions: Tensor?
  public var timeEmbedder: EmbeddingMLP
  public var ofsEmbedder: EmbeddingMLP?
  public var transformerBlocks: [CogVideoXBlock]
  public var finalNorm: LayerNorm
  public var outputNorm: AdaLayerNorm
  public var output: Linear
  public var residency: (any BlockResidency)?

  public init(_ config: CogVideoXConfig, _ w: Weights) {
    self.config = config
    let dim = config.dim, embedding = w["patch_embed"]
    patchEmbedder = Self.patchEmbedder(config, embedding["proj"])
    textEmbedder = Linear(config.textEmbedDim, dim, embedding["text_proj"])
    let tokens =
      config.sampleLatentFrames * (config.sampleHeight / config.patchSize)
      * (config.sampleWidth / config.patchSize)
    learnedPositions =
      config.positions == .rotaryAndLearned
      ? embedding.tensor("pos_embedding", 1, config.maxTextSequenceLength + tokens, dim) : nil
    timeEmbedder = EmbeddingMLP(dim, config.timeEmbedDim, w["time_embedding"])
    ofsEmbedder = config.ofsEmbedDim.map { EmbeddingMLP($0, $0, w["ofs_embedding"]) }
    transformerBlocks = (0..<config.numLayers).map { CogVideoXBlock(config, w["transformer_blocks"][$0]) }
    let affine = config.normElementwiseAffine
    finalNorm = LayerNorm(dim, elementwiseAffine: affine, eps: config.normEps, w["norm_final"])
    outputNorm = AdaLayerNorm(
      conditioningDim: config.timeEmbedDim, dim, elementwiseAffine: affine, eps: config.normEps, w["norm_out"])
    let patch = config.patchSize * config.patchSize * (config.temporalPatchSize ?? 1)
    output = Linear(dim, patch * config.outChannels, w["proj_out"])
  }

  /// A convolution whose stride is its kernel multiplies whole patches, as the linear layer of 1.5 does.
  private static func patchEmbedder(_ config: CogVideoXConfig, _ w: Weights) -> Linear {
    let dim = config.dim, channels = config.inChannels, patch = config.patchSize
    if let frames = config.temporalPatchSize { return Linear(channels * frames * patch * patch, dim, w) }
    return Linear(
      weight: w.tensor("weight", dim, channels, patch, patch).flattened(from: 1),
      bias: config.patchBias ? w.tensor("bias", dim) : nil)
  }

  /// What one pass is given.
  public struct Input: Sendable {
    /// `[batch, frames, inChannels, height, width]`: noisy latents, and behind their channels those of the picture to
    /// start from where the model takes one. Frames and sides are multiples of the patch.
    public var latents: Tensor
    /// T5 hidden states, `[batch, tokens, textEmbedDim]`.
    public var text: Tensor
    /// What the model is told of the noise, 0 … 999, per video.
    public var timestep: [Float]
    /// A scale that image-to-video 1.5 was trained with.
    public var ofs: Float
    /// Positions of the video tokens, from `positions(frames:height:width:)`.
    public var positions: CogVideoXPositions

    public init(
      latents: Tensor, text: Tensor, timestep: [Float], ofs: Float = 2, positions: CogVideoXPositions
    ) {
      self.latents = latents
      self.text = text
      self.timestep = timestep
      self.ofs = ofs
      self.positions = positions
    }
  }

  // MARK: Hooks

  public var jointBlocks: [any JointBlock] { transformerBlocks }
  public var blocks: [BlockID] { transformerBlocks.indices.map { BlockID("joint", $0) } }
  public var textFamily: String { "joint" }
  public func parameterPath(of block: BlockID) -> String? { "transformer_blocks.\(block.layer)" }

  public func streams(in block: BlockID) -> [StreamID] { [.text, .image] }

  public func points(of stream: StreamID, in block: BlockID) -> [Site.Point] {
    Site.Point.allCases.filter { point in
      switch point {
      case .rotatedQuery, .rotatedKey: config.usesRotary && stream == .image
      case _ where point.isOfSecondAttention: false
      default: true
      }
    }
  }

  // MARK: Streams

  /// The streams as they enter the first block, and the output layers.
  public func streams(_ input: Input, _ hooks: HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor) {
    let conditioning = conditioning(input), reads: Set<StreamID> = [.text, .image]
    var text = textEmbedder(input.text), video = patchEmbedder(patches(input.latents))
    if let table = input.positions.text { text = text + table.narrow(0, from: 0, count: text.shape[1]) }
    if let table = input.positions.added { video = video + table }
    var streams = [
      Stream(.text, tokens: text, conditioning: conditioning, reads: reads),
      Stream(.image, tokens: video, conditioning: conditioning, rotary: input.positions.rotary, reads: reads),
    ]
    hooks?.board(&streams) { stream(for: $0, input, conditioning) }
    let readOut = { (tokens: Tensor) in
      unpatched(output(outputNorm(finalNorm(tokens), conditioning)), like: input.latents)
    }
    hooks?.readOut = readOut
    return (streams, readOut)
  }

  /// A rider has no position, like text, and is modulated as the prompt is.
  private func stream(for rider: Rider, _ input: Input, _ conditioning: Tensor) -> Stream {
    let batch = input.latents.shape[0]
    let tokens = rider.processedAs == .image ? patchEmbedder(rider.embeddings) : textEmbedder(rider.embeddings)
    return Stream(rider, tokens: tokens, conditioning: conditioning, batch: batch)
  }

  func conditioning(_ input: Input) -> Tensor {
    func embedded(_ values: [Float], _ dim: Int) -> Tensor {
      timestepEmbedding(
        values, dim: dim, flipSinToCos: config.flipSinToCos, frequencyShift: config.frequencyShift)
    }
    let time = timeEmbedder(embedded(input.timestep, config.dim))
    guard let ofsEmbedder, let dim = config.ofsEmbedDim else { return time }
    return time + ofsEmbedder(embedded([input.ofs], dim))
  }

  // MARK: Patches

  var patchExtents: [String: Int] {
    ["p": config.patchSize, "q": config.patchSize, "t": config.temporalPatchSize ?? 1]
  }

  /// - Returns: `[batch, tokens, channels * patch]`, tokens frame by frame and row by row
  private func patches(_ latents: Tensor) -> Tensor {
    latents.rearranged("b (f t) c (h p) (w q) -> b (f h w) (c t p q)", patchExtents)
  }

  private func unpatched(_ tokens: Tensor, like latents: Tensor) -> Tensor {
    let grid = grid(frames: latents.shape[1], height: latents.shape[3], width: latents.shape[4])
    return tokens.rearranged(
      "b (f h w) (c t p q) -> b (f t) c (h p) (w q)",
      patchExtents.merging(["h": grid.height, "w": grid.width, "f": grid.frames]) { $1 })
  }
}
