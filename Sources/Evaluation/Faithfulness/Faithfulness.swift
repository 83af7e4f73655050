import ConceptAttention
import Models
import NN
import Tensor

/// Whether a map shows where the model uses a concept, asked of the model itself: edges of the tokens that a map marks are
/// cut, the most marked first, and the change of the prediction and of the other concepts' maps is measured, beside tokens
/// in random order.
///
/// Changes are shares of the change when all tokens lose their edges. A map that finds what matters has a larger area under
/// its curve than random order when edges are cut, and, where tokens act alone, a smaller one when all are cut but those of
/// the marked tokens. No mask is needed and no second model, and the same pass twice gives the same bits, so the
/// smallest change is a change.
///
/// Sources: deletion and insertion (RISE, arXiv 1806.07421) on edges of attention (knockout, arXiv 2304.14767) in place of
/// pixels.
public struct Faithfulness: Sendable {
  /// Which edges a marked token loses.
  public enum Edges: String, Sendable, Codable, CaseIterable {
    /// Its sight of the concept's words in the prompt.
    case word
    /// Everybody's sight of it.
    case tokens

    var title: String {
      switch self {
      case .word: "marked tokens lose sight of the concept's words"
      case .tokens: "nobody sees the marked tokens"
      }
    }

    fileprivate var cut: EdgeCut.Edges { self == .word ? .word : .tokens }
  }

  /// Shares of tokens that are cut or kept, beside none and all.
  public static let shares = [0, 1 / 16.0, 1 / 8.0, 1 / 4.0, 1 / 2.0, 3 / 4.0, 1]
  public static let random = "random order"

  let rules: EvaluationProtocol
  let pipeline: any DiffusionPipeline
  let makers: [(name: String, maker: MapMaker)]
  let edges: [Edges]

  /// - Parameter makers: of the maps, by the method's name
  public init(
    _ rules: EvaluationProtocol, _ pipeline: any DiffusionPipeline, _ makers: [(name: String, maker: MapMaker)],
    edges: [Edges]
  ) {
    self.rules = rules
    self.pipeline = pipeline
    self.makers = makers
    self.edges = edges
  }

  /// Measures every concept that is in the picture and in the prompt.
  ///
  /// - Parameter onStep: called after every pass; what it throws ends the run
  /// - Throws: `NothingAsked` where there is no such concept; what methods and the model throw
  public func measure(_ example: SegmentationExample, onStep: () throws -> Void = {}) throws -> FaithfulnessLine {
    guard let first = makers.first?.maker else { return FaithfulnessLine() }
    let asked = first.concepts(of: example), prompt = first.fullPrompt(example, asked)
    let present = Set(example.present.map { first.concept(of: $0) }).union(example.aliases.keys)
    let words = try asked.classes.filter(present.contains).compactMap { concept -> (String, [Int])? in
      let places = try pipeline.tokens(of: concept, in: prompt, maxSequenceLength: nil)
      return places.isEmpty ? nil : (concept, places.flatMap { Array($0) })
    }
    if words.isEmpty { throw NothingAsked("no concept is in the picture and in the prompt") }
    let maps = try makers.map { try $0.maker.maps(example, onStep: onStep) }
    var request = first.request(example, prompt, pipeline)
    request.samples = 1
    let level = rules.noise.first ?? pipeline.defaults.noiseLevel ?? 0.5
    let grid = try pipeline.plan(request).grid
    var line = FaithfulnessLine()
    for (concept, tokens) in words {
      let orders = try orders(concept, maps, grid, example.id)
      for edges in edges {
        let cuts = cuts(orders.map(\.tokens), edges, grid)
        request.noise = .levels([Float](repeating: level, count: cuts.count))
        // Attention with a mask may round elsewhere than without; where nothing is rounded, a cut of nothing changes no bit.
        let changes = try ComputePrecision.with(.float) {
          try self.changes(request, cuts, concept, tokens, asked.classes + asked.background, onStep)
        }
        line.add(changes, concept, edges, orders.map(\.name))
      }
    }
    return line
  }

  // MARK: Passes

  /// Image tokens, the most marked first, by method; random order comes first.
  private func orders(
    _ concept: String, _ maps: [ConceptMaps], _ grid: TokenGrid, _ id: String
  ) throws -> [(name: String, tokens: [Int])] {
    var state = hashOf("\(id)/\(concept)")
    var shuffled = Array(0..<grid.count)
    for place in stride(from: shuffled.count - 1, to: 0, by: -1) {
      shuffled.swapAt(place, Int(nextRandom(&state) % UInt64(place + 1)))
    }
    return try [(Self.random, shuffled)]
      + zip(makers, maps).map { maker, maps in
        guard let index = maps.concepts.firstIndex(of: concept) else {
          throw MapProblem(id, "\(maker.name) has no map of '\(concept)'")
        }
        let plane = ResizedMaps(maps, height: grid.height, width: grid.width).plane(of: index)
        let values = (0..<grid.frames).flatMap { _ in plane }
        return (maker.name, values.indices.sorted { (values[$1], $0) < (values[$0], $1) })
      }
  }

  /// Nothing, nothing by the way of a cut, all, and for every order the growing shares cut, then the growing shares kept.
  private func cuts(_ orders: [[Int]], _ edges: Edges, _ grid: TokenGrid) -> [EdgeCut.Cut?] {
    func cut(_ isChosen: [Bool]) -> EdgeCut.Cut { EdgeCut.Cut(edges: edges.cut, isChosen: isChosen) }
    func among(_ order: [Int], _ share: Double, keeping: Bool) -> EdgeCut.Cut {
      var isChosen = [Bool](repeating: keeping, count: grid.count)
      for token in order.prefix(Int((share * Double(grid.count)).rounded())) { isChosen[token] = !keeping }
      return cut(isChosen)
    }
    let inner = Self.shares.dropFirst().dropLast()
    return [nil, cut([Bool](repeating: false, count: grid.count)), cut([Bool](repeating: true, count: grid.count))]
      + orders.flatMap { order in
        inner.map { among(order, $0, keeping: false) } + inner.map { among(order, $0, keeping: true) }
      }
  }

  /// By pass, how far the prediction and the other concepts' maps are from those of the first.
  private func changes(
    _ request: InspectionRequest, _ cuts: [EdgeCut.Cut?], _ concept: String, _ words: [Int], _ concepts: [String],
    _ onStep: () throws -> Void
  ) throws -> (prediction: [Double], others: [Double]?) {
    let cutter = EdgeCut(cuts, words: words)
    var options = ConceptAttentionOptions(layers: (rules.layers ?? pipeline.defaults.layers).map { Set($0) })
    options.normalization = .none  // a softmax would move others whenever one moves
    options.phrases = .alone(rules.conceptTokens)
    options.keeping = [.steps]
    let watcher = try pipeline.conceptAttention(concepts, options: options)
    try pipeline.inspect(pipeline.plan(request), processors: [cutter, watcher]) { _ in try onStep() }
    let maps = try watcher.maps(), others = concepts.indices.filter { concepts[$0] != concept }
    guard let whole = maps.byStep[0], !others.isEmpty else { return (cutter.changes, nil) }
    let before = whole.take(1, others)
    return (
      cutter.changes,
      cuts.indices.map { step in maps.byStep[step].map { rootMeanSquare($0.take(1, others) - before) } ?? 0 }
    )
  }
}
