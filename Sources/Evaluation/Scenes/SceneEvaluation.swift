import ConceptAttention
import Models
import NN
import Tensor

/// Where an evaluation is, after every scene.
public struct EvaluationProgress: Sendable {
  /// Scenes done and scenes in all.
  public let done, total: Int
  public let scene: String
}

/// Measures ConceptAttention on pictures with exact masks: every picture is shown to the model once per noise level,
/// with the same noise, and the maps of every layer, of all layers and of the selected ones are scored.
///
/// Maps are soft-maxed over the concepts in every layer before layers are averaged.
///
/// - Parameters:
///   - selection: layers of the `selected` rows; nil for those that suit the checkpoint, without any of which there
///     are no such rows
///   - onScene: called after every scene; what it throws ends the evaluation
/// - Throws: `SceneSetError` when the scenes do not fit the model, `ConceptError`, `RequestError`, `HookError` and what
///   `onScene` throws
public func evaluate(
  pipeline: any DiffusionPipeline, scenes: SceneSet, selection: [Int]? = nil,
  onScene: (EvaluationProgress) throws -> Void = { _ in }
) throws -> EvaluationTable {
  let words = Array(Set(scenes.scenes.flatMap(\.concepts))).sorted()
  let phrases = Dictionary(
    uniqueKeysWithValues: zip(words, try pipeline.encodePhrases(words, maxSequenceLength: scenes.maxSequenceLength)))
  let selection = selection ?? pipeline.defaults.layers ?? []
  var table = EvaluationTable()
  for (index, scene) in scenes.scenes.enumerated() {
    let concepts = try ConceptSet(scene.concepts.compactMap { phrases[$0] }, tokens: .first)
    for level in scenes.noiseLevels {
      let method = try observe(scene, concepts, level: level, scenes, pipeline)
      try table.add(method, scene, level: level, selection, objects: scenes.objectNames)
    }
    table.finishScene()
    try onScene(EvaluationProgress(done: index + 1, total: scenes.scenes.count, scene: scene.name))
  }
  return table
}

/// One pass over one picture, all layers and spaces.
private func observe(
  _ scene: SceneSet.Scene, _ concepts: ConceptSet, level: Double, _ scenes: SceneSet, _ pipeline: any DiffusionPipeline
) throws -> ConceptAttention {
  var options = ConceptAttentionOptions.default
  options.spaces = EvaluationTable.spaces
  options.keeping = [.layers]
  let method = ConceptAttention(concepts, options: options)
  var request = InspectionRequest(image: scene.picture)
  request.prompt = scene.prompt
  request.height = scene.picture.shape[0]
  request.width = scene.picture.shape[1]
  request.noise = .levels([Float(level)])
  request.seed = scene.noiseSeed
  request.drawsPackedNoise = scenes.drawsPackedNoise
  request.maxSequenceLength = scenes.maxSequenceLength
  try pipeline.inspect(request, processors: [method])
  return method
}

extension EvaluationTable {
  /// Adds the maps of one picture at one noise level to every row they belong to.
  fileprivate mutating func add(
    _ method: ConceptAttention, _ scene: SceneSet.Scene, level: Double, _ selection: [Int], objects: Set<String>
  ) throws {
    for space in Self.spaces {
      let maps = try method.maps(space)
      guard scene.picture.shape[0] % maps.grid.height == 0, scene.picture.shape[1] % maps.grid.width == 0 else {
        throw SceneSetError(
          scene.name, .unsuitable("\(maps.grid.width) x \(maps.grid.height) tokens do not divide its pixels evenly"))
      }
      let truth = TokenTruth(scene, grid: maps.grid)
      func add(_ map: Tensor, _ layers: Row.Layers) {
        let values = map[0].flattened(from: 1).floats
        let tokens = maps.grid.count
        let rows = scene.concepts.indices.map { Array(values[$0 * tokens..<($0 + 1) * tokens]) }
        self.add(truth.score(rows, objects: objects), Row(layers, noiseLevel: level), space)
      }
      for (layer, map) in maps.byLayer { add(map, .only(layer)) }
      add(maps.average, .all)
      if selection.isEmpty { continue }
      let selected = try selection.map { layer in
        guard let map = maps.byLayer[layer] else {
          throw SceneSetError(scene.name, .unsuitable("layer \(layer) of \(maps.byLayer.count) is not in the model"))
        }
        return map
      }
      add(stacked(selected).mean(0), .selected)
    }
  }
}
