import ArgumentParser
import ConceptAttention
import Foundation
import Models
import Synchronization
import Tensor

/// What a run has beside its options when the explorer starts it rather than the command line.
struct RunContext {
  /// The open model, in place of opening one.
  var pipeline: (any DiffusionPipeline)?
  /// Written down as what the program was called with.
  var arguments: [String]?
  /// Generations that need not be made again to look for other concepts in them.
  var traces: GenerationTraces?
  /// Told of every step.
  var watch: ((WatchedStep) throws -> Void)?

  var isWatched: Bool { watch != nil }

  struct WatchedStep {
    let step: GenerationStep
    /// What the run does.
    let label: String
    let maps: () throws -> SaliencyMaps
    /// Where the picture is, `[height, width, 3]`, `u8`; nil where there is none to see.
    let picture: () -> Tensor?
  }
}

/// A command that the explorer can run.
protocol ExplorableCommand: ParsableCommand {
  /// Whether an open model can do it, as far as can be told before.
  func check(_ pipeline: any DiffusionPipeline) throws
  func run(in context: RunContext) throws
}

extension ExplorableCommand {
  func run() throws { try run(in: RunContext()) }
}

/// What generations went through, and came to: the latents that every step started from, and the picture. The oldest make
/// room for new ones.
final class GenerationTraces: Sendable {
  struct Trace: Sendable {
    var latents: [Tensor]
    var image: Tensor

    var bytes: Int { latents.map { $0.count * 4 }.reduce(image.count, +) }
  }

  private let capacity: Int
  private static let count = 16
  private let entries = Mutex<[(key: String, trace: Trace)]>([])

  /// - Parameter capacity: in bytes
  init(capacity: Int = 256 << 20) { self.capacity = capacity }

  subscript(_ key: String) -> Trace? {
    entries.withLock { entries in
      guard let place = entries.firstIndex(where: { $0.key == key }) else { return nil }
      entries.append(entries.remove(at: place))
      return entries.last?.trace
    }
  }

  func keep(_ trace: Trace, for key: String) {
    guard trace.bytes <= capacity else { return }
    entries.withLock { entries in
      entries.removeAll { $0.key == key }
      entries.append((key, trace))
      while entries.count > Self.count || entries.map(\.trace.bytes).reduce(0, +) > capacity { entries.removeFirst() }
    }
  }
}
