import NN
import Tensor

extension FluxPipeline {
  /// A checked request with every default filled in.
  struct Plan {
    var grid: TokenGrid
    var positions: RotaryTable
    var steps = 1
    var sequenceLength: Int
    var guidance: Float
    var trueCFG: Float = 1
    /// nil for no classifier-free guidance.
    var negativePrompt: String?
    var noiseLevel: Float = 0.5
    var width, height: Int
  }

  /// What the pipelines of FLUX take when nothing is said: 1024 px, schnell's 4 steps or dev's 28 at guidance 3.5.
  private var familySteps: Int { flux.config.guidanceEmbeds ? 28 : 4 }
  private static let familySize = 1024
  private static let longestSequence = 512

  func plan(_ request: GenerationRequest) throws -> Plan {
    guard !request.prompts.isEmpty else { throw RequestError.noPrompt }
    var plan = try plan(width: request.width, height: request.height, request.maxSequenceLength, request.guidance)
    plan.steps = request.steps ?? defaults.steps ?? familySteps
    guard (1...1000).contains(plan.steps) else { throw RequestError.badSteps(plan.steps) }
    plan.trueCFG = request.trueCFG ?? defaults.trueCFG ?? 1
    // Guidance by default needs something to guide away from: the empty prompt.
    let usesDefault = request.trueCFG == nil && defaults.trueCFG != nil
    let negative = request.negativePrompt ?? (usesDefault ? "" : nil)
    plan.negativePrompt = plan.trueCFG > 1 ? negative : nil
    return plan
  }

  func plan(_ request: ObservationRequest) throws -> Plan {
    guard request.image.rank == 3, request.image.shape[2] == 3, request.image.count > 0 else {
      throw RequestError.badImage(shape: request.image.shape)
    }
    guard request.samples >= 1 else { throw RequestError.badSamples(request.samples) }
    var plan = try plan(width: request.width, height: request.height, request.maxSequenceLength, request.guidance)
    plan.guidance = request.guidance ?? 0
    plan.noiseLevel = request.noiseLevel ?? defaults.noiseLevel ?? 0.5
    guard plan.noiseLevel > 0, plan.noiseLevel <= 1 else { throw RequestError.badNoiseLevel(plan.noiseLevel) }
    return plan
  }

  private func plan(width: Int?, height: Int?, _ sequenceLength: Int?, _ guidance: Float?) throws -> Plan {
    let width = width ?? defaults.width ?? Self.familySize, height = height ?? defaults.height ?? Self.familySize
    let multiple = sizeMultiple
    guard [width, height].allSatisfy({ $0 >= multiple && $0 <= 8192 && $0 % multiple == 0 }) else {
      throw RequestError.badSize(width: width, height: height, multiple: multiple)
    }
    let length = sequenceLength ?? defaults.maxSequenceLength ?? (flux.config.guidanceEmbeds ? 512 : 256)
    guard (1...Self.longestSequence).contains(length) else {
      throw RequestError.badSequenceLength(length, maximum: Self.longestSequence)
    }
    let grid = TokenGrid(height: height / multiple, width: width / multiple)
    return Plan(
      grid: grid, positions: flux.positions(grid: grid), sequenceLength: length,
      guidance: guidance ?? defaults.guidance ?? 3.5, width: width, height: height)
  }

  /// The picture at the planned size, `[height, width, 3]`.
  func pixels(_ request: ObservationRequest, _ plan: Plan) throws -> Tensor {
    let image = request.image
    if image.shape[0] == plan.height, image.shape[1] == plan.width { return image }
    return image.resizedImage(height: plan.height, width: plan.width, filter: .bicubic)
  }
}
