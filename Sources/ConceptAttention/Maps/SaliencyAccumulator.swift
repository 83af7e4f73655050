import NN
import Tensor

/// A running mean.
struct RunningMean {
  private var sum: Tensor?
  private var count = 0

  mutating func add(_ tensor: Tensor) {
    sum = sum.map { $0 + tensor } ?? tensor
    count += 1
  }

  var value: Tensor? { sum.map { $0 / Float(count) } }
}

// MARK: Saving

extension RunningMean {
  /// Under `name`; nothing before the first tensor.
  func sums(_ name: String) -> [String: Tensor] {
    guard let sum else { return [:] }
    return [name: sum, "\(name).count": Tensor(scalars: [Int64(count)])]
  }

  /// An empty one where there is nothing of this name.
  init(_ sums: [String: Tensor], _ name: String) throws(SaliencyError) {
    guard let sum = sums[name] else { return }
    guard sum.dtype == .f32, let counts = sums["\(name).count"], counts.dtype == .i64, counts.count == 1 else {
      throw .notSums(name)
    }
    self.sum = sum
    count = Int(counts.scalars(as: Int64.self)[0])
  }
}

extension TokenGrid {
  var sums: [String: Tensor] {
    ["grid": Tensor(scalars: [frames, height, width].map { Int64($0) })]
  }

  init(_ sums: [String: Tensor]) throws(SaliencyError) {
    guard let sizes = sums["grid"], sizes.dtype == .i64, sizes.count == 3 else { throw .notSums("grid") }
    let numbers = sizes.scalars(as: Int64.self).map { Int($0) }
    self.init(frames: numbers[0], height: numbers[1], width: numbers[2])
  }
}

/// Means by number, under names such as `layer.7`.
private func numbered(_ sums: [String: Tensor], _ kind: String) throws(SaliencyError) -> [Int: RunningMean] {
  var means: [Int: RunningMean] = [:]
  for name in sums.keys where name.hasPrefix("\(kind).") && !name.hasSuffix(".count") {
    guard let number = Int(name.dropFirst(kind.count + 1)) else { throw .notSums(name) }
    means[number] = try RunningMean(sums, name)
  }
  return means
}

private func joined(_ parts: [[String: Tensor]]) -> [String: Tensor] {
  parts.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
}

/// How much each concept is at each image token in one layer of one pass.
struct SaliencyScores {
  /// Of all heads, `[batch, concepts, tokens]`.
  var together: Tensor
  /// Where heads are kept apart, `[batch, heads, concepts, tokens]`.
  var perHead: Tensor?

  func mapValues(_ transform: (Tensor) -> Tensor) -> SaliencyScores {
    SaliencyScores(together: transform(together), perHead: perHead.map(transform))
  }
}

/// Running means of scores: overall and, where asked for, by layer, step and head.
struct SaliencyAccumulator {
  let keeping: Set<KeptMaps>
  private var grid: TokenGrid?
  private var overall = RunningMean(), heads = RunningMean()
  private var layers: [Int: RunningMean] = [:], steps: [Int: RunningMean] = [:], layerHeads: [Int: RunningMean] = [:]

  init(keeping: Set<KeptMaps>) { self.keeping = keeping }

  mutating func add(_ scores: SaliencyScores, layer: Int, step: Int, grid: TokenGrid) {
    self.grid = grid
    overall.add(scores.together)
    if keeping.contains(.layers) { layers[layer, default: RunningMean()].add(scores.together) }
    if keeping.contains(.steps) { steps[step, default: RunningMean()].add(scores.together) }
    guard let perHead = scores.perHead else { return }
    if keeping.contains(.heads) { heads.add(perHead) }
    if keeping.contains(.layersAndHeads) { layerHeads[layer, default: RunningMean()].add(perHead) }
  }

  var sums: [String: Tensor] {
    joined(
      [grid?.sums ?? [:], overall.sums("overall"), heads.sums("heads")] + layers.map { $1.sums("layer.\($0)") }
        + steps.map { $1.sums("step.\($0)") } + layerHeads.map { $1.sums("heads-of-layer.\($0)") })
  }

  init(keeping: Set<KeptMaps>, _ sums: [String: Tensor]) throws(SaliencyError) {
    self.keeping = keeping
    if sums.isEmpty { return }
    grid = try TokenGrid(sums)
    overall = try RunningMean(sums, "overall")
    heads = try RunningMean(sums, "heads")
    layers = try numbered(sums, "layer")
    steps = try numbered(sums, "step")
    layerHeads = try numbered(sums, "heads-of-layer")
  }

  /// - Parameter concepts: their names; nil for numbers
  func maps(_ concepts: [String]?, softmaxLast: Bool) throws(SaliencyError) -> SaliencyMaps {
    guard let grid, let average = overall.value else { throw .nothingRecorded }
    let concepts = concepts ?? (0..<average.shape[1]).map { "\($0)" }
    func finish(_ scores: Tensor) -> Tensor {
      (softmaxLast ? scores.softmax(-2) : scores).unflattened(-1, grid.frames, grid.height, grid.width)
    }
    var maps = SaliencyMaps(concepts: concepts, grid: grid, average: finish(average))
    maps.byLayer = layers.compactMapValues { $0.value.map(finish) }
    maps.byStep = steps.compactMapValues { $0.value.map(finish) }
    if let scores = heads.value {
      for head in 0..<scores.shape[1] { maps.byHead[head] = finish(scores[.all, head]) }
    }
    for (layer, mean) in layerHeads {
      guard let scores = mean.value else { continue }
      for head in 0..<scores.shape[1] {
        maps.byLayerAndHead[LayerAndHead(layer, head)] = finish(scores[.all, head])
      }
    }
    return maps
  }
}

/// Running means of vectors, by layer.
struct VectorAccumulator {
  private var concepts: [Int: RunningMean] = [:], images: [Int: RunningMean] = [:]
  private var grid: TokenGrid?
  private var scale: Float = 1

  init() {}

  init(_ sums: [String: Tensor]) throws(SaliencyError) {
    guard let scale = sums["scale"], scale.dtype == .f32, scale.count == 1 else { throw .notSums("scale") }
    self.scale = scale.item
    grid = try TokenGrid(sums)
    concepts = try numbered(sums, "concepts")
    images = try numbered(sums, "image")
  }

  var sums: [String: Tensor] {
    joined(
      [grid?.sums ?? [:], ["scale": Tensor([scale], shape: [1])]] + concepts.map { $1.sums("concepts.\($0)") }
        + images.map { $1.sums("image.\($0)") })
  }

  mutating func add(_ vectors: SaliencyVectors, layer: Int, grid: TokenGrid) {
    concepts[layer, default: RunningMean()].add(vectors.concepts)
    images[layer, default: RunningMean()].add(vectors.image)
    self.grid = grid
    scale = vectors.scale
  }

  /// The scores of the averaged vectors, layer by layer, as if they were those of one step.
  func scores(_ space: SaliencySpace, _ options: ConceptAttentionOptions) -> SaliencyAccumulator? {
    guard let grid else { return nil }
    var accumulator = SaliencyAccumulator(keeping: options.keeping.subtracting([.steps]))
    for layer in concepts.keys.sorted() {
      guard let concept = concepts[layer]?.value, let image = images[layer]?.value else { continue }
      let scores = space.scores(SaliencyVectors(concepts: concept, image: image, scale: scale), options)
      accumulator.add(options.normalized(scores, of: scores.together.shape[1]), layer: layer, step: 0, grid: grid)
    }
    return accumulator
  }
}
