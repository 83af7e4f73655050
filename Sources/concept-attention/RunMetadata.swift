import ConceptAttention
import Foundation
import Models
import Tensor

/// Everything needed to repeat a run: written as `metadata.json`.
struct RunMetadata: Encodable, Sendable {
  var command: String
  var version = programVersion
  var model: String
  var prompt: String
  var negativePrompt: String?
  var picture: String?
  var concepts: [String]
  var width, height: Int
  var steps: Int?
  var guidance: Float?
  var trueCFG: Float?
  var noiseLevel: Float?
  var samples: Int?
  var seed: UInt64
  var layers: [Int]?
  var timesteps: [Int]?
  var space, normalization, conceptTokens, reads: String
  var instructionSet = Kernels.current.name
  var threads = Threads.count
  var seconds: Double

  enum CodingKeys: String, CodingKey {
    case command, version, model, prompt, picture, concepts, width, height, steps, guidance, samples, seed, layers
    case timesteps, space, normalization, reads, threads, seconds
    case negativePrompt = "negative_prompt"
    case trueCFG = "true_cfg"
    case noiseLevel = "noise_level"
    case conceptTokens = "concept_tokens"
    case instructionSet = "instruction_set"
  }
}
