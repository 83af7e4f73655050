import Artifacts
import ConceptAttention
import Formats
import Foundation
import Models
import NN
import Tensor

/// A generation that was interrupted, in a file beside its results: latents, sums of the maps, what the sampler remembers.
/// It goes when the run is complete.
struct RunState {
  static let fileName = "resume.safetensors"

  let path: String
  /// Everything that was asked for, as JSON: a run goes on only as the same run.
  private let description: String
  private let interval: Double
  private var lastSave = ContinuousClock.now

  /// - Parameters:
  ///   - folder: of the results
  ///   - metadata: of the run
  ///   - interval: seconds between two savings
  init(folder: String, _ metadata: RunMetadata, interval: Double) throws {
    path = folder.hasSuffix("/") ? folder + Self.fileName : "\(folder)/\(Self.fileName)"
    self.interval = interval
    description = try String(decoding: RunMetadata.encoder().encode(metadata.withoutCircumstances), as: UTF8.self)
  }

  /// Takes up the run that the file is of.
  ///
  /// - Throws: `FileError`, `SafetensorsError`, `InputError` for the file of another run
  func load(into method: any SaliencyMethod) throws -> GenerationState {
    guard FileManager.default.fileExists(atPath: path) else {
      throw InputError(
        "--resume: there is no \(path); a run leaves one when it was ended early and had taken longer than --save-every"
      )
    }
    let file = try SafetensorsFile(path: path)
    // Of another run is more than damaged.
    guard let found = file.metadata["run"], found == description else {
      throw InputError(
        "--resume: \(path) is of another run; repeat its command, or leave --resume away to begin anew"
          + (file.metadata["command"].map { ": concept-attention \($0)" } ?? ""))
    }
    guard let resumable = method as? any ResumableMethod else { throw Self.notResumable(method) }
    let saved: SavedGeneration
    do { saved = try SavedGeneration(file) } catch let problem as SavedGeneration.Problem {
      throw InputError("--resume: \(problem); leave --resume away to begin anew")
    }
    try resumable.resume(from: saved.sums)
    return saved.state
  }

  /// Saves where the run stands, when the last saving is long enough ago or the program was asked to end.
  mutating func save(_ step: GenerationStep, _ method: any SaliencyMethod) throws {
    guard let resumable = method as? any ResumableMethod, step.done < step.total else { return }
    guard ContinuousClock.now - lastSave >= .seconds(interval) else { return }
    try SavedGeneration(
      step.state, sums: resumable.sums, run: description,
      command: CommandLine.arguments.dropFirst().joined(separator: " ")
    ).write(to: path)
    lastSave = .now
  }

  /// The run is complete.
  func remove() { unlink(path) }

  static func notResumable(_ method: any SaliencyMethod) -> InputError {
    InputError("--resume: maps of \(method.name) cannot go on from an earlier run")
  }
}
