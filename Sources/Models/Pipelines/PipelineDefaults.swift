import Foundation

/// Settings that suit a checkpoint, from `concept_attention.json` in its folder; absent ones are the family's.
public struct PipelineDefaults: Sendable, Equatable, Decodable {
  public var width: Int?
  public var height: Int?
  public var frames: Int?
  public var steps: Int?
  public var guidance: Float?
  public var trueCFG: Float?
  public var maxSequenceLength: Int?
  /// Layers whose concept maps are best.
  public var layers: [Int]?
  /// Noise level for maps of existing pictures.
  public var noiseLevel: Float?

  enum CodingKeys: String, CodingKey {
    case width, height, frames, steps, guidance, layers
    case trueCFG = "true_cfg"
    case maxSequenceLength = "max_sequence_length"
    case noiseLevel = "noise_level"
  }

  public init() {}

  /// What the folder's `concept_attention.json` says; nothing when there is none.
  public init(folder: ModelFolder) throws {
    let path = "\(folder.path)/concept_attention.json"
    self = FileManager.default.fileExists(atPath: path) ? try decodeJSON(PipelineDefaults.self, path: path) : .init()
  }
}
