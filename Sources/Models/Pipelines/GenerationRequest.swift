import NN
import Tensor

/// What to generate. What is nil is decided when the request is planned: by the checkpoint's own settings, else by the
/// family's.
public struct GenerationRequest: Sendable {
  /// One picture or video each.
  public var prompts: [String]
  /// What to guide away from, one for all; nil for none of one's own: classifier-free guidance, where the checkpoint or
  /// the family has it, then leads away from the empty prompt and makes a second pass per step. `trueCFG = 1` (in Stable
  /// Diffusion 3 also `guidance = 1`) switches it off.
  public var negativePrompt: String?
  /// Pixels, and frames of a video.
  public var width, height, frames: Int?
  public var steps: Int?
  /// diffusers' `guidance_scale`: what a guidance-distilled model is told (FLUX.1-dev), else the scale of
  /// classifier-free guidance (Stable Diffusion 3).
  public var guidance: Float?
  /// Scale of classifier-free guidance with the negative prompt, whatever else a family understands by guidance; at
  /// most 1 means none.
  public var trueCFG: Float?
  /// Whether the scale of classifier-free guidance follows the timestep (CogVideoX).
  public var usesDynamicGuidance = false
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

  /// Prompts that are encoded already, one for each of `prompts`, which are then for the record only: states
  /// `[batch, tokens, dim]` and pooled vectors `[batch, pooledDim]`.
  public var encodedPrompts: EncodedPrompts?
  /// Likewise in place of the negative prompt.
  public var encodedNegative: EncodedPrompts?

  /// First-block caching: blocks after the first are skipped in a step whose first block adds nearly what it added before, up
  /// to this relative change, above 0 and at most 1; nil to compute every block. See `BlockCache`.
  public var blockCache: Float?

  public init(_ prompts: String...) { self.prompts = prompts }
}

/// A picture that a run starts from: noised as far as the skipped steps would have left it, or, with a model that continues
/// pictures, shown to the model as the video's first frame in every step (`FamilySettings.ImageUse`).
///
/// Source: diffusers `StableDiffusion3Img2ImgPipeline`, `FluxImg2ImgPipeline`, `CogVideoXImageToVideoPipeline`.
public struct StartingImage: Sendable {
  /// `[height, width, 3]`, `u8`; resized to the request's width × height.
  public var image: Tensor
  /// How much is replaced, above 0 and at most 1: the share of the steps that are taken. nil for 0.6, and with a model that
  /// continues the picture, which is not replaced.
  public var strength: Double?

  public init(_ image: Tensor, strength: Double? = nil) {
    self.image = image
    self.strength = strength
  }
}
