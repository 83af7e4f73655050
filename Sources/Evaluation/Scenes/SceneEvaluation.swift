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

extension SceneSet {
  /// Measures ConceptAttention on the scenes: each is shown to the model once per noise level, with
  /// the same noise, and the maps of every layer, of all layers and of the selected ones are scored. The score of a video
  /// is the mean of its frames', each with the map of the latent frame that holds it.
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
    _ pipeline: any DiffusionPipeline, selection: [Int]? = nil,
    onScene: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> EvaluationTable {
    let words = Array(Set(scenes.flatMap(\.concepts))).sorted()
    let phrases = Dictionary(
      uniqueKeysWithValues: zip(words, try pipeline.encodePhrases(words, maxSequenceLength: maxSequenceLength)))
    let selection = selection ?? pipeline.defaults.layers ?? []
    var table = EvaluationTable()
    for (index, scene) in scenes.enumerated() {
      let concepts = try ConceptSet(scene.concepts.compactMap { phrases[$0] }, tokens: .first)
      for level in noiseLevels {
        let plan = try pipeline.plan(request(scene, level: level, self))
        let truth = try SceneTruth(scene, plan, pipeline)
        let method = try observe(plan, concepts, pipeline)
        try table.add(method, scene, truth, level: level, selection, objects: objectNames)
      }
      table.finishScene()
      try onScene(EvaluationProgress(done: index + 1, total: scenes.count, scene: scene.name))
    }
    return table
  }
}

private func request(_ scene: SceneSet.Scene, level: Double, _ scenes: SceneSet) -> InspectionRequest {
  var request = InspectionRequest(frames: scene.frames)
  request.prompt = scene.prompt
  request.height = scene.size.height
  request.width = scene.size.width
  request.noise = .levels([Float(level)])
  request.seed = scene.noiseSeed
  request.drawsPackedNoise = scenes.drawsPackedNoise
  request.maxSequenceLength = scenes.maxSequenceLength
  return request
}

/// One pass over one picture or video, all layers and spaces.
private func observe(
  _ plan: InspectionPlan, _ concepts: ConceptSet, _ pipeline: any DiffusionPipeline
) throws -> ConceptAttention {
  var options = ConceptAttentionOptions.default
  options.spaces = EvaluationTable.spaces
  options.keeping = [.layers]
  let method = ConceptAttention(concepts, options: options)
  try pipeline.inspect(plan, processors: [method]) { _ in }
  return method
}

extension SceneTruth {
  fileprivate init(_ scene: SceneSet.Scene, _ plan: InspectionPlan, _ pipeline: any DiffusionPipeline) throws {
    let size = scene.size, grid = plan.grid
    guard size.height % grid.height == 0, size.width % grid.width == 0 else {
      throw SceneSetError(
        scene.name, .unsuitable("\(grid.width) x \(grid.height) tokens do not divide its pixels evenly"))
    }
    self.init(scene, grid: grid, mapFrames: pipeline.gridFrames(size))
  }
}

extension EvaluationTable {
  /// Adds the maps of one scene at one noise level to every row they belong to.
  fileprivate mutating func add(
    _ method: ConceptAttention, _ scene: SceneSet.Scene, _ truth: SceneTruth, level: Double, _ selection: [Int],
    objects: Set<String>
  ) throws {
    for space in Self.spaces {
      let maps = try method.maps(space)
      func add(_ map: Tensor, _ layers: Row.Layers) throws {
        let values = map[0].flattened(from: 1).floats
        guard values.allSatisfy(\.isFinite) else {
          throw SceneSetError(
            scene.name, .unsuitable("its maps (\(space)) are not finite: are the model's weights whole?"))
        }
        let tokens = maps.grid.count
        let rows = scene.concepts.indices.map { Array(values[$0 * tokens..<($0 + 1) * tokens]) }
        self.add(truth.score(rows, objects: objects), Row(layers, noiseLevel: level), space)
      }
      for (layer, map) in maps.byLayer { try add(map, .only(layer)) }
      try add(maps.average, .all)
      if selection.isEmpty { continue }
      let selected = try selection.map { layer in
        guard let map = maps.byLayer[layer] else {
          throw SceneSetError(scene.name, .unsuitable("layer \(layer) of \(maps.byLayer.count) is not in the model"))
        }
        return map
      }
      try add(stacked(selected).mean(0), .selected)
    }
  }
}
