// What the explorer needs of the program: somebody who does a command, and tells how far it is.

import Dispatch
import Foundation

/// Does commands, one at a time.
public protocol RunExecutor: Sendable {
  /// What the page needs to know of the model, as JSON.
  var model: Data { get }

  /// Whether a command can be run, as far as can be told before it is.
  ///
  /// - Throws: an error whose description says what is wrong
  func check(_ arguments: [String]) throws

  /// Runs a command to its end, in a task that may be cancelled.
  func run(_ arguments: [String], report: @escaping @Sendable (RunProgress) -> Void) throws

  /// The ending of an uploaded file's name, by what is in it.
  ///
  /// - Throws: `Refusal` for a file that is of no use
  func kind(ofUpload data: Data, limits: ExplorerLimits) throws -> String
}

/// How far a run is.
public struct RunProgress: Sendable {
  public var done, total: Int
  /// A PNG picture of where it is, and the maps so far as a safetensors file; nil for no news of them.
  public var picture, maps: Data?
  /// What runs: "generating", or that only the maps are made anew.
  public var what: String

  public init(done: Int, total: Int, what: String, picture: Data? = nil, maps: Data? = nil) {
    (self.done, self.total, self.what, self.picture, self.maps) = (done, total, what, picture, maps)
  }
}

/// A thread of its own for runs: on the threads that serve requests they would keep everybody waiting.
final class RunThread: TaskExecutor {
  private let queue = DispatchQueue(label: "runs")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
