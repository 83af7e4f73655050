import NN
import Tensor

/// What to generate.
public struct GenerationRequest: Sendable {
  /// One picture each.
  public var prompts: [String]
  /// nil for no classifier-free guidance; one for all pictures.
  public var negativePrompt: String?
  /// Pixels; nil for the checkpoint's default.
  public var width, height: Int?
  public var steps: Int?
  /// diffusers' `guidance_scale`: what a guidance-distilled model is told (FLUX.1-dev), else the scale of
  /// classifier-free guidance (Stable Diffusion 3).
  public var guidance: Float?
  /// Scale of classifier-free guidance with the negative prompt, whatever else a family understands by guidance; at
  /// most 1 means none.
  public var trueCFG: Float?
  /// nil for none.
  public var skipLayers: SkipLayerGuidance?
  /// Of one generator that draws the noise of all pictures.
  public var seed: UInt64 = 0
  /// Of a generator per picture, in place of `seed`: a picture is then the same alone and in any batch.
  public var seeds: [UInt64]?
  public var maxSequenceLength: Int?
  /// How many of CLIP's last layers the prompt leaves out, beyond the one that is always left out.
  public var clipSkip: Int?
  /// A picture to start from instead of noise alone.
  public var startingImage: StartingImage?
  /// The element type noise is drawn in: PyTorch draws other numbers for `bf16` than for `f32`.
  public var noiseType: DType = .f32
  /// Starting noise instead of the seed's, as the transformer takes latents: `[batch, tokens, channels]` in FLUX,
  /// `[batch, channels, height, width]` in Stable Diffusion 3.
  public var latents: Tensor?

  public init(_ prompts: String...) { self.prompts = prompts }
}

/// A picture that a run starts from, noised as far as the skipped steps would have left it.
///
/// Source: diffusers `StableDiffusion3Img2ImgPipeline`, `FluxImg2ImgPipeline`.
public struct StartingImage: Sendable {
  /// `[height, width, 3]`, `u8`; resized to the request's width × height.
  public var image: Tensor
  /// How much is replaced, above 0 and at most 1: the share of the steps that are taken.
  public var strength: Double

  public init(_ image: Tensor, strength: Double = 0.6) {
    self.image = image
    self.strength = strength
  }
}

/// Guidance away from what the model makes of the prompt with some of its blocks left out.
///
/// Source: diffusers `StableDiffusion3Pipeline`, `skip_guidance_layers`; Stability AI recommends layers 7, 8 and 9 for
/// Stable Diffusion 3.5 Medium. Works beside classifier-free guidance only.
public struct SkipLayerGuidance: Sendable, Equatable {
  public var layers: Set<Int>
  public var scale: Float
  /// The part of the schedule it acts in, as shares of the steps, both ends excluded.
  public var start, stop: Double

  public init(layers: Set<Int>, scale: Float = 2.8, start: Double = 0.01, stop: Double = 0.2) {
    self.layers = layers
    self.scale = scale
    self.start = start
    self.stop = stop
  }

  func acts(at step: Int, of steps: Int) -> Bool {
    Double(step) > Double(steps) * start && Double(step) < Double(steps) * stop
  }
}

/// An existing picture to look at.
public struct ObservationRequest: Sendable {
  /// `[height, width, 3]`, `u8`; resized to `width` × `height`.
  public var image: Tensor
  public var prompt: String = ""
  public var width, height: Int?
  /// One pass each per draw of noise; the checkpoint's default, else 0.5, when empty.
  public var noiseLevels: [NoiseLevel] = []
  /// Draws of noise; the seed of draw `i` is `seed + i`.
  public var samples = 1
  public var seed: UInt64 = 0
  /// Told to a guidance-distilled model; 0 unless given, as ConceptAttention's authors do.
  public var guidance: Float?
  /// Whether the norms are told a zero vector in place of the prompt's pooled one, as the authors' code does.
  public var zeroesPooledText = false
  public var maxSequenceLength: Int?
  public var noiseType: DType = .f32
  /// Draws noise in the shape the transformer takes latents in, which for FLUX are packed tokens
  /// (`[1, tokens, channels]`): the numbers of a seed then lie elsewhere in the picture.
  public var drawsPackedNoise = false

  public init(image: Tensor) { self.image = image }
}

/// How much noise is mixed into a picture that is looked at.
public struct NoiseLevel: Sendable, Equatable {
  /// Above 0 and at most 1.
  public var sigma: Float
  /// What processors are told as the step, so that they can tell levels apart.
  public var step: Int

  public init(_ sigma: Float, step: Int = 0) {
    self.sigma = sigma
    self.step = step
  }
}

/// Where a run is, after every step.
public struct GenerationStep: Sendable {
  /// Steps done and steps in all.
  public let done, total: Int
  public let sigma: Float
  /// Latents after this step, as the transformer takes them.
  public let latents: Tensor
}

public struct GenerationResult: Sendable {
  /// `[batch, 3, height, width]` in 0 … 1.
  public let image: Tensor
  /// How often processors were called, by site.
  public let fired: [Site: Int]
  public let seconds: PhaseSeconds

  /// One picture as bytes, `[height, width, 3]`.
  public func bytes(picture: Int = 0) -> Tensor {
    (image[picture].permuted(1, 2, 0) * 255).rounded().clamped(min: 0, max: 255).converted(to: .u8)
  }
}

/// What is to tell of a run that only looked.
public struct ObservationResult: Sendable {
  /// How often processors were called, by site.
  public let fired: [Site: Int]
  public let seconds: PhaseSeconds
}
