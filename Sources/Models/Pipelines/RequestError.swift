/// A request that cannot be met.
public enum RequestError: Error, Equatable, CustomStringConvertible {
  case badSize(width: Int, height: Int, multiple: Int, maximum: Int)
  case badFrames(Int, expected: String)
  /// Of a model that makes one size.
  case fixedSize(width: Int, height: Int, expected: FrameSize)
  /// Of a model that continues pictures.
  case noImage(family: String)
  case badSteps(Int)
  case badStep(Int, steps: Int)
  case noNoiseLevel
  case nobodyLooks
  case badNoiseLevel(Float)
  case badSamples(Int)
  case badSequenceLength(Int, maximum: Int)
  case noPrompt
  case badImage(shape: [Int])
  case badLatents(found: [Int], expected: [Int])
  case badEncodedPrompts(found: [[Int]], expected: String)
  case badSeeds(found: Int, expected: Int)
  case badGuidance(String)
  case badSkipLayers(String)
  case badStrength(Double)
  case badClipSkip(Int, maximum: Int)
  case badBlockCache(String)
  /// Something the family does not have.
  case unsupported(String, family: String)
  /// A run to go on with that is not one of this plan.
  case badState(String)

  public var description: String {
    switch self {
    case .badSize(let width, let height, let multiple, let maximum):
      "size \(width) × \(height): expected multiples of \(multiple) between \(multiple) and \(maximum)"
    case .badFrames(let frames, let expected): "\(frames) frames: expected \(expected)"
    case .fixedSize(let width, let height, let expected):
      "size \(width) × \(height): expected \(expected.width) × \(expected.height), the one size with learned positions"
    case .noImage(let family): "this \(family) continues a picture and has none: expected one to begin with (--image)"
    case .badStep(let step, let steps): "there is no step \(step), this run has steps 0 to \(steps - 1)"
    case .noNoiseLevel: "no noise level: expected at least one"
    case .nobodyLooks: "no processor looks at the picture"
    case .badSteps(let steps): "\(steps) steps: expected 1 to 1000"
    case .badNoiseLevel(let level): "noise level \(level): expected more than 0 and at most 1"
    case .badSamples(let samples): "\(samples) samples: expected 1 to 100000"
    case .badSequenceLength(let length, let maximum): "sequence length \(length): expected 1 to \(maximum)"
    case .noPrompt: "no prompt"
    case .badImage(let shape): "picture of shape \(shape): expected [height, width, 3]"
    case .badLatents(let found, let expected): "latents of shape \(found): expected \(expected)"
    case .badEncodedPrompts(let found, let expected):
      "encoded prompts of shapes \(found.map { "\($0)" }.joined(separator: " and ")): expected \(expected)"
    case .badSeeds(let found, let expected): "\(found) seeds: expected one for each of \(expected) pictures"
    case .badGuidance(let reason): "guidance: \(reason)"
    case .badSkipLayers(let reason): "skip-layer guidance: \(reason)"
    case .badStrength(let strength): "strength \(strength): expected more than 0 and at most 1"
    case .badClipSkip(let skip, let maximum): "clip skip \(skip): expected 0 to \(maximum)"
    case .badBlockCache(let reason): "block cache: \(reason)"
    case .badState(let found): "found \(found), expected a state of a run of the same plan"
    case .unsupported(let what, let family): "\(family) has no \(what)"
    }
  }
}
