import ConceptAttention
import EmbeddedModels
import Foundation
import Models
import Tensor

/// Everything needed to repeat a run: `run` of `metadata.json`. What the model or its family decided is written down as
/// if it had been asked for.
struct RunMetadata: Encodable, Sendable {
  var command: String
  /// As the program was called.
  var arguments = Array(CommandLine.arguments.dropFirst())
  var model: Model
  var prompt: String
  /// The picture that was looked at.
  var picture: String?
  /// The picture that a generation started from.
  var startingImage: String?
  var concepts: [String]
  /// Of this picture.
  var seed: UInt64
  /// What ran: every decision, whoever took it.
  var plan: Plan
  var maps: Maps
  /// What was changed inside of the model, in the words of the command line.
  var interventions: [String] = []
  var seconds = Seconds()
  /// The most that tensors held, mapped weights not counted.
  var peakTensorBytes = Memory.peak
  /// The most that was in memory for the process, files' pages included; nil where the system does not tell.
  var peakResidentBytes: Int?
  /// Of the transformer's weights, read at steps because they do not fit into memory; nil where all did.
  var streamedBytes: Int?
  /// With a block cache: blocks of all passes, and those that were skipped.
  var blocks, skippedBlocks: Int?
  var program = Program()

  var isGeneration: Bool { if case .generation = plan { true } else { false } }

  /// What was asked for and what makes the numbers, without what differs from one time to the next.
  var withoutCircumstances: RunMetadata {
    var run = self
    (run.arguments, run.seconds, run.peakTensorBytes, run.program.threads) = ([], .init(), 0, 0)
    (run.peakResidentBytes, run.streamedBytes, run.blocks, run.skippedBlocks) = (nil, nil, nil, nil)
    return run
  }

  struct Model: Encodable {
    var name, folder, family: String
    var transformer, autoencoder, clipL, clipG, t5: String?
    var withoutT5: Bool
    var loras: [LoRA]
    var dtype: String?
  }

  struct LoRA: Encodable {
    var path: String
    var strength: Float
  }

  enum Plan: Encodable {
    case generation(GenerationPlan)
    case inspection(InspectionPlan)

    func encode(to encoder: any Encoder) throws {
      switch self {
      case .generation(let plan): try plan.encode(to: encoder)
      case .inspection(let plan): try plan.encode(to: encoder)
      }
    }
  }

  struct Maps: Encodable {
    var method, preset: String
    /// nil for all.
    var layers, timesteps: [Int]?
    var spaces: [String]
    var normalization, conceptTokens, conceptScaling, imageOutputs, averaging, reads: String
    var blurs, perHead: Bool
  }

  struct Seconds: Encodable {
    var opening = 0.0, concepts = 0.0, encoding = 0.0, transformer = 0.0, decoding = 0.0, total = 0.0
  }

  struct Program: Encodable {
    var version = programVersion
    var instructionSet = Kernels.current.name
    var compute = ComputePrecision.current.rawValue
    var threads = Threads.count
    var system = ProcessInfo.processInfo.operatingSystemVersionString
  }

  /// Keys are as in `metadata.json` (`true_cfg`).
  static func encoder(_ formatting: JSONEncoder.OutputFormatting = []) -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting.union([.sortedKeys, .withoutEscapingSlashes])
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return encoder
  }
}

extension RunMetadata.Model {
  init(_ options: ModelOptions) throws {
    let folder = try ModelFolder(nameOrFolder: options.model)
    self.init(
      name: options.model, folder: URL(fileURLWithPath: folder.path).standardizedFileURL.path,
      family: folder.pipelineClass, transformer: options.transformer, autoencoder: options.autoencoder,
      clipL: options.textEncoders.clipL, clipG: options.textEncoders.clipG, t5: options.textEncoders.t5,
      withoutT5: options.textEncoders.withoutT5,
      loras: options.lora.map { .init(path: $0.file.path, strength: $0.file.strength) }, dtype: options.dtype?.rawValue)
  }
}

extension RunMetadata.Maps {
  init(_ command: ConceptOptions, _ options: ConceptAttentionOptions) {
    self.init(
      method: command.method, preset: command.preset.rawValue, layers: options.layers?.sorted(),
      timesteps: options.steps?.sorted(), spaces: options.spaces.map(\.rawValue),
      normalization: options.normalization.rawValue, conceptTokens: options.phrases.name,
      conceptScaling: options.conceptScaling.rawValue, imageOutputs: options.imageOutputs.rawValue,
      averaging: options.averaging.rawValue, reads: options.reads.rawValue, blurs: options.blurs,
      perHead: command.perHead)
  }
}

extension ConceptPhrases {
  fileprivate var name: String {
    switch self {
    case .alone(let tokens): tokens.rawValue
    case .padded(let length): "padded, phrases to \(length)"
    case .joined: "joined"
    }
  }
}

/// Measures the phases of a command.
struct CommandClock {
  private let start = ContinuousClock.now
  private var last = ContinuousClock.now
  var seconds = RunMetadata.Seconds()

  /// Adds the time since the last phase ended to a phase.
  mutating func end(_ phase: WritableKeyPath<RunMetadata.Seconds, Double>) {
    let now = ContinuousClock.now
    seconds[keyPath: phase] += (now - last) / .seconds(1)
    last = now
  }

  /// The phases that a pipeline has measured itself, and the total up to now.
  mutating func add(_ phases: PhaseSeconds) {
    seconds.encoding = phases.encoding
    seconds.transformer = phases.transformer
    seconds.decoding = phases.decoding
    seconds.total = (ContinuousClock.now - start) / .seconds(1)
  }
}
