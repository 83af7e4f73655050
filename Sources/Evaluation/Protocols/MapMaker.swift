import ConceptAttention
import Models
import NN
import Tensor

/// Makes the maps of a data set's pictures by a method, as a protocol says.
public struct MapMaker: Sendable {
  let rules: EvaluationProtocol
  let method: EvaluationMethod
  let classes: SegmentationClasses
  /// nil for baselines.
  let pipeline: (any DiffusionPipeline)?
  private let names: ClassNames

  /// - Parameter names: of classes, over those of the protocol
  public init(
    _ rules: EvaluationProtocol, _ method: EvaluationMethod, _ classes: SegmentationClasses,
    pipeline: (any DiffusionPipeline)?, names: ClassNames = ClassNames()
  ) {
    self.rules = rules
    self.method = method
    self.classes = classes
    self.pipeline = pipeline
    self.names = ClassNames(rules.classNames.merging(names.concepts) { $1 })
  }

  /// - Throws: `DatasetProblem` when the protocol asks for layers that the model does not have
  public func check() throws {
    guard case .method = method.kind, let pipeline, let layers = rules.layers else { return }
    let family = pipeline.transformer.textFamily
    let count = pipeline.transformer.blocks.count { $0.family == family }
    if let outside = layers.first(where: { !(0..<count).contains($0) }) {
      throw DatasetProblem(
        "protocol \(rules.name)", "layer \(outside) is not in the model, which has \(family) layers 0 to \(count - 1)")
    }
  }

  /// - Parameter onStep: called after every pass; what it throws ends the run
  /// - Throws: `NothingAsked` when the protocol asks for nothing in this picture, and what the method and the model throw
  public func maps(_ example: SegmentationExample, onStep: () throws -> Void = {}) throws -> ConceptMaps {
    let asked = concepts(of: example)
    guard !asked.classes.isEmpty || !asked.background.isEmpty else {
      throw NothingAsked("no class is in the picture, and \(rules.name) asks for nothing else")
    }
    let prompt = fullPrompt(example, asked)
    switch method.kind {
    case .baseline(let baseline):
      let concepts = asked.classes + asked.background
      let isBackground = concepts.map { asked.background.contains($0) }
      return try ConceptMaps(
        id: example.id, concepts: concepts,
        maps: baseline.maps(concepts, isBackground: isBackground, id: example.id))
    case .method(let method, let space):
      guard let pipeline else { throw MapProblem(example.id, "the method needs a model") }
      let concepts = try reachable(asked, method, prompt, pipeline)
      let options = options(pipeline, space)
      let saliency = try method.make(
        MapRequest(pipeline, concepts: concepts, prompt: prompt, options: options))
      let plan = try pipeline.plan(request(example, prompt, pipeline))
      try pipeline.inspect(plan, processors: [saliency]) { _ in try onStep() }
      let maps = try saliency.maps()
      // A picture is a video of one frame; frames that were one example are one picture to score.
      return try ConceptMaps(id: example.id, concepts: maps.concepts, maps: maps.average[0].mean(1))
    }
  }

  // MARK: What is asked for

  /// Concepts of classes, and those beside them.
  func concepts(of example: SegmentationExample) -> (classes: [String], background: [String]) {
    if rules.asksForDatasetConcepts, let concepts = example.concepts { return (concepts, []) }
    var found: [String]
    if !example.aliases.isEmpty {
      found = example.aliases.keys.sorted(by: precedes)
    } else {
      let rows = rules.classes == .all ? Array(classes.names.indices) : example.present
      found = rows.filter { $0 != classes.background }.map { names.concept(of: classes.names[$0]) }
    }
    var seen: Set<String> = []
    found = found.filter { seen.insert($0).inserted }
    let objects = classes.names.indices.filter { $0 != classes.background }
    let taken = Set(objects.map { names.concept(of: classes.names[$0]) })
    return (found, rules.background.filter { !taken.contains($0) && seen.insert($0).inserted })
  }

  /// What the model is told of a picture; one without a class is one of background.
  package func fullPrompt(
    _ example: SegmentationExample, _ asked: (classes: [String], background: [String])
  ) -> String {
    if let prompt = example.prompt { return prompt }
    let concepts = asked.classes.isEmpty ? asked.background : asked.classes
    var text = rules.prompt.replacing("{concepts}", with: concepts.joined(separator: ", "))
    while let start = text.firstRange(of: "{concepts,"), let end = text[start.upperBound...].firstIndex(of: "}") {
      let separator = "," + text[start.upperBound..<end]
      text.replaceSubrange(start.lowerBound...end, with: concepts.joined(separator: separator))
    }
    return text.replacing("{concept}", with: concepts.first ?? "")
  }

  /// What a row of the classes is called.
  func concept(of row: Int) -> String { names.concept(of: classes.names[row]) }

  /// Methods that look for words in the prompt get those backgrounds that are in it.
  private func reachable(
    _ asked: (classes: [String], background: [String]), _ method: MapMethod, _ prompt: String,
    _ pipeline: any DiffusionPipeline
  ) throws -> [String] {
    let all = asked.classes + asked.background
    if !method.needsWords { return all }
    let found = try all.filter {
      try !pipeline.tokens(of: $0, in: prompt, maxSequenceLength: nil).isEmpty
    }
    guard !found.isEmpty, asked.classes.isEmpty || found.contains(where: asked.classes.contains) else {
      throw MapMethodError.notInPrompt(concept: all.first ?? "", method: method.name, prompt: prompt)
    }
    return found
  }

  private func options(_ pipeline: any DiffusionPipeline, _ space: SaliencySpace?) -> ConceptAttentionOptions {
    let layers = rules.layers ?? pipeline.defaults.layers
    var options = ConceptAttentionOptions(layers: layers.map { Set($0) })
    if let space { options.spaces = [space] }
    options.normalization = rules.normalization
    // Attention weights are no vectors that could be scaled.
    options.conceptScaling = space == .attention ? .none : rules.conceptScaling
    options.phrases = .alone(rules.conceptTokens)
    options.reads = rules.reads
    options.blurs = rules.blurs
    return options
  }

  /// How the model is shown a picture.
  func request(
    _ example: SegmentationExample, _ prompt: String, _ pipeline: any DiffusionPipeline
  ) -> InspectionRequest {
    var request: InspectionRequest
    if let last = rules.resize.last {
      let frames = (0..<example.frames.shape[0]).map { index in
        rules.resize.reduce(example.frames[index]) {
          $0.resizedImage(height: $1.height, width: $1.width, filter: $1.filter)
        }
      }
      request = InspectionRequest(frames: stacked(frames))
      (request.width, request.height) = (last.width, last.height)
    } else {
      request = InspectionRequest(frames: example.frames)
      (request.width, request.height) = fitted(example, pipeline)
    }
    request.prompt = prompt
    if !rules.noise.isEmpty { request.noise = .levels(rules.noise) }
    request.samples = rules.draws
    request.seed = example.noiseSeed ?? rules.seed
    request.guidance = rules.guidance
    request.zeroesPooledText = rules.zeroesPooledText
    return request
  }

  /// The picture's proportions with about as many pixels as the model is made for, in the multiples it takes.
  private func fitted(_ example: SegmentationExample, _ pipeline: any DiffusionPipeline) -> (width: Int, height: Int) {
    let own = pipeline.settings.size, multiple = pipeline.sizeMultiple
    let area = Double((pipeline.defaults.width ?? own.width) * (pipeline.defaults.height ?? own.height))
    let scale = (area / Double(example.width * example.height)).squareRoot()
    func side(_ pixels: Int) -> Int {
      let wanted = Int((Double(pixels) * scale / Double(multiple)).rounded()) * multiple
      return min(max(wanted, multiple), pipeline.settings.maximumSide / multiple * multiple)
    }
    return (side(example.width), side(example.height))
  }
}
