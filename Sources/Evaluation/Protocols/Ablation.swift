import ConceptAttention
import Models
import NN

/// One thing of a protocol or method varied, everything else as it is: what the figure owes to it.
public enum Ablation: String, Sendable, CaseIterable {
  /// Every layer alone, and all together.
  case layer
  /// The level of noise that the picture is shown with.
  case noise
  /// The vectors whose products make the map.
  case space
  /// What concepts attend to: both, image only (cross), concepts only (self), nothing (paper §5.4).
  case reads
  /// How scores become maps.
  case normalization
  /// Draws of noise.
  case draws
  /// What competes for a pixel.
  case concepts

  public var title: String {
    switch self {
    case .layer: "layer"
    case .noise: "noise level"
    case .space: "space"
    case .reads: "what concepts attend to"
    case .normalization: "normalisation"
    case .draws: "draws of noise"
    case .concepts: "list of concepts"
    }
  }

  /// As the paper calls it (§5.4).
  private static func name(of reads: ConceptReads) -> String {
    switch reads {
    case .conceptsAndImage: "both"
    case .image: "cross"
    case .concepts: "self"
    case .nothing: "neither"
    }
  }

  /// One setting of it.
  public struct Variant: Sendable {
    public let name: String
    /// Where it stands on an axis of numbers; nil for what has no order.
    public let place: Double?
    public let rules: EvaluationProtocol
    public let method: EvaluationMethod

    public init(name: String, place: Double? = nil, rules: EvaluationProtocol, method: EvaluationMethod) {
      self.name = name
      self.place = place
      self.rules = rules
      self.method = method
    }
  }

  /// The settings, each with ConceptAttention.
  ///
  /// - Throws: `MapMethodError` when there is no such method
  public func variants(of rules: EvaluationProtocol, on pipeline: any DiffusionPipeline) throws -> [Variant] {
    let name = MapMethod.conceptAttention.name, method = try EvaluationMethod(named: name)
    func variant(_ name: String, _ place: Double? = nil, _ change: (inout EvaluationProtocol) -> Void) -> Variant {
      var changed = rules
      change(&changed)
      return Variant(name: name, place: place, rules: changed, method: method)
    }
    switch self {
    case .layer:
      let family = pipeline.transformer.textFamily
      let layers = pipeline.transformer.blocks.filter { $0.family == family }.map(\.layer)
      return layers.map { layer in variant("\(layer)", Double(layer)) { $0.layers = [layer] } }
        + [variant("all") { $0.layers = layers }]
    case .noise:
      return [0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1].map { level in
        variant("\(level)", level) { $0.noise = [Float(level)] }
      }
    case .space:
      return try SaliencySpace.allCases.map {
        Variant(
          name: $0.rawValue, place: nil, rules: rules, method: try EvaluationMethod(named: "\(name):\($0.rawValue)"))
      }
    case .reads: return ConceptReads.allCases.map { reads in variant(Self.name(of: reads)) { $0.reads = reads } }
    case .normalization:
      return SaliencyNormalization.allCases.map { form in variant(form.rawValue) { $0.normalization = form } }
    case .draws: return [1, 2, 4, 8].map { draws in variant("\(draws)", Double(draws)) { $0.draws = draws } }
    case .concepts:
      return [
        variant("as the protocol says") { _ in },
        variant("classes in the picture") {
          ($0.asksForDatasetConcepts, $0.classes, $0.background) = (false, .present, [])
        },
        variant("all classes") { ($0.asksForDatasetConcepts, $0.classes, $0.background) = (false, .all, []) },
      ]
    }
  }
}
