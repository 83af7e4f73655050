import Glibc

/// How a run is held to its prompt.
public struct Guidance: Sendable, Equatable, Encodable {
  /// What a guidance-distilled model is told; nil for a model that is told nothing.
  public var distilled: Float?
  /// nil for none: one pass per step.
  public var classifierFree: ClassifierFree?
  /// nil for none.
  public var skipLayers: SkipLayerGuidance?

  /// Away from what the model makes of another prompt, in a second pass per step.
  ///
  /// Source: Ho & Salimans, arXiv 2207.12598.
  public struct ClassifierFree: Sendable, Equatable, Encodable {
    /// Above 1.
    public var scale: Float
    public var negativePrompt: String
    /// Whether the scale follows the timestep, as CogVideoX's authors recommend for their second-order sampler.
    public var isDynamic: Bool

    public init(scale: Float, negativePrompt: String, isDynamic: Bool = false) {
      self.scale = scale
      self.negativePrompt = negativePrompt
      self.isDynamic = isDynamic
    }

    /// The scale at one step of a run. Source: diffusers `CogVideoXPipeline`, `use_dynamic_cfg`.
    func scale(at level: NoiseLevel, steps: Int) -> Float {
      guard isDynamic else { return scale }
      let progress = (Double(steps) - Double(level.timestep)) / Double(steps)
      return Float(1 + Double(scale) * (1 - cos(.pi * pow(progress, 5))) / 2)
    }
  }

  public init(
    distilled: Float? = nil, classifierFree: ClassifierFree? = nil, skipLayers: SkipLayerGuidance? = nil
  ) {
    self.distilled = distilled
    self.classifierFree = classifierFree
    self.skipLayers = skipLayers
  }
}

/// Guidance away from what the model makes of the prompt with some of its blocks left out.
///
/// Source: diffusers `StableDiffusion3Pipeline`, `skip_guidance_layers`; Stability AI recommends layers 7, 8 and 9 for
/// Stable Diffusion 3.5 Medium. Works beside classifier-free guidance only.
public struct SkipLayerGuidance: Sendable, Equatable, Encodable {
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
