import ConceptAttention
import Models
import NN
import Tensor

/// Stops a run whose numbers have become infinite or none: what comes of them means nothing.
struct FiniteGuard {
  /// Tells in which block they first were.
  let check: FiniteCheck

  /// - Parameter looksEverywhere: at all blocks in all steps; else at those that the maps are made of, beyond which nothing
  ///   needs to run
  init(_ request: MapRequest, looksEverywhere: Bool) {
    let chosen = request.blocks.map { SitePattern("\($0.layerText).*.attentionOutput") }
    check = looksEverywhere ? FiniteCheck() : FiniteCheck(chosen, steps: request.options.steps)
  }

  /// - Throws: `NonfiniteError`
  func check(_ step: GenerationStep) throws {
    if let finding = check.finding {
      throw NonfiniteError(what: "the attention outputs of \(finding.site)", step: finding.step)
    }
    if !step.latents.isAllFinite { throw NonfiniteError(what: "the latents", step: step.level.step) }
  }

  /// - Throws: `NonfiniteError` naming the concept
  func check(_ maps: SaliencyMaps) throws {
    for (name, map) in maps.named {
      for (index, concept) in maps.concepts.enumerated() where !map.narrow(1, from: index, count: 1).isAllFinite {
        throw NonfiniteError(what: "the map '\(name)' of '\(concept)'", step: nil)
      }
    }
  }

  /// - Throws: `NonfiniteError` when decoding made numbers of another kind of good latents
  static func check(_ result: GenerationResult) throws {
    if !result.frames.isAllFinite { throw NonfiniteError(what: "the picture that the autoencoder decoded", step: nil) }
  }
}

/// Numbers that are infinite or none.
struct NonfiniteError: Error, CustomStringConvertible {
  let what: String
  let step: Int?

  var description: String {
    let place = step.map { " at step \($0)" } ?? ""
    return "\(what) \(what.hasSuffix("s") || what.contains("outputs of") ? "are" : "is") not finite\(place): are the "
      + "model's weights whole? --allow-nonfinite goes on all the same"
  }
}
