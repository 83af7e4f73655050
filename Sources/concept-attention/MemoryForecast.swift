import Models
import NN
import Tensor

/// What a run will take of memory, phase by phase: the text encoders come and go, then the transformer, then the autoencoder.
/// Pages of files count as far as they are touched, which is what the system calls resident; it may drop them, and reads them
/// again when it must.
struct MemoryForecast {
  struct Phase: Sendable, Equatable {
    var name: String
    /// Of files.
    var pages = 0
    /// What has to be there: tensors, converted weights, the program's own.
    var own = 0

    var total: Int { pages + own }
  }

  var phases: [Phase]
  /// Of the transformer's weights, read from the disk at every step.
  var streamed: Int

  /// The most at one time.
  var peak: Phase { phases.max { $0.total < $1.total } ?? Phase(name: "") }

  /// What a process of this program holds before it does anything: libraries, the runtime, tables.
  static let program = 42 << 20

  /// What is there while latents are decoded: tensors, blocks that wait in the pool to be used again, more of them where a
  /// video is decoded some frames at a time, and what draws a video. Measured, videos from 64 pixels a side to 480 by 720.
  private static func decoding(_ plan: GenerationPlan, _ tensors: Int) -> Int {
    guard plan.size.frames > 1 else { return tensors + min(tensors, 16 << 20) }
    return Int(1.4 * Double(tensors)) + min(tensors / 2, 32 << 20) + (12 << 20)
  }

  /// What is known of a run.
  struct Situation {
    var parts: [ModelFolder.Part]
    var plan: GenerationPlan
    var estimate: ActivationEstimate
    /// Numbers a text encoder holds at most, in bytes.
    var encoding: Int
    var share: WeightMemory.Share
    /// Whether the text encoders have to work.
    var encodes = true
    /// Maps and pictures, and what draws them.
    var results: Int
  }

  init(_ situation: Situation) {
    func sum(_ isMeant: (String) -> Bool) -> (pages: Int, own: Int) {
      let parts = situation.parts.filter { isMeant($0.name) }
      return (parts.map(\.residentBytes).reduce(0, +), parts.map(\.convertedBytes).reduce(0, +))
    }
    let text = sum { $0.hasPrefix("text_encoder") }, vae = sum { $0 == "vae" }
    let transformer = sum { $0.hasPrefix("transformer") }
    // What is converted when the model is opened stays.
    let base = Self.program + transformer.own + vae.own
    let outside = max(0, transformer.pages - situation.share.resident - situation.share.streamed)
    // A small model's pages stay when the next phase begins.
    let left = situation.share.isEmpty ? transformer.pages : 0
    phases = [
      situation.encodes
        ? Phase(name: "encoding", pages: text.pages, own: base + text.own + situation.encoding)
        : Phase(name: "encoding", own: base),
      Phase(
        name: "transformer", pages: min(transformer.pages, left + outside + situation.share.peak),
        own: base + situation.estimate.transformer),
      Phase(
        name: "decoding", pages: left + vae.pages,
        own: base + Self.decoding(situation.plan, situation.estimate.decoding)),
      Phase(name: "drawing", pages: left + vae.pages, own: base + situation.results),
    ]
    streamed = situation.share.streamed
  }
}

extension ModelFolder.Part {
  /// Pages that a run touches: of a table of tokens only the rows that occur, and nothing that is converted, which is let go
  /// once it is.
  fileprivate var residentBytes: Int { max(0, bytes - tableBytes - replacedBytes) }
}

extension WeightMemory.Share {
  /// Of a model that is too small for anything to be done.
  var isEmpty: Bool { resident + streamed == 0 }
}
