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
    guard let found = file.metadata["run"], found == description else {
      throw InputError(
        "--resume: \(path) is of another run; repeat its command, or leave --resume away to begin anew"
          + (file.metadata["command"].map { ": concept-attention \($0)" } ?? ""))
    }
    guard let resumable = method as? any ResumableMethod else { throw Self.notResumable(method) }
    guard try file.metadata[Self.checksumKey] == Self.checksum(file) else {
      throw InputError("--resume: \(path) is damaged; leave --resume away to begin anew")
    }
    func part(_ prefix: String) throws -> [String: Tensor] {
      var tensors: [String: Tensor] = [:]
      for name in file.names where name.hasPrefix(prefix) {
        tensors[String(name.dropFirst(prefix.count))] = try file.tensor(name).copied()
      }
      return tensors
    }
    guard let done = file.metadata["steps_done"].flatMap({ Int($0) }),
      let draws = file.metadata["draws"].flatMap({ Int($0) }), file.names.contains("latents")
    else { throw InputError("--resume: \(path) is no state of a run") }
    try resumable.resume(from: part("maps."))
    return GenerationState(
      stepsDone: done, latents: try file.tensor("latents").copied(), draws: draws, memory: try part("sampler."))
  }

  /// Saves where the run stands, when the last saving is long enough ago or the program was asked to end.
  mutating func save(_ step: GenerationStep, _ method: any SaliencyMethod) throws {
    guard let resumable = method as? any ResumableMethod, step.done < step.total else { return }
    guard ContinuousClock.now - lastSave >= .seconds(interval) else { return }
    var tensors = ["latents": step.latents.contiguous()]
    for (name, tensor) in step.state.memory { tensors["sampler.\(name)"] = tensor.contiguous() }
    for (name, tensor) in resumable.sums { tensors["maps.\(name)"] = tensor.contiguous() }
    var metadata = [
      "run": description, "steps_done": "\(step.done)", "draws": "\(step.state.draws)",
      "command": CommandLine.arguments.dropFirst().joined(separator: " "),
    ]
    metadata[Self.checksumKey] = Self.checksum(tensors, metadata)
    try SafetensorsFile.write(tensors, to: path, metadata: metadata)
    lastSave = .now
  }

  // MARK: Whether it is what was saved

  private static let checksumKey = "checksum"

  private static func checksum(_ file: SafetensorsFile) throws -> String {
    var tensors: [String: Tensor] = [:]
    for name in file.names { tensors[name] = try file.tensor(name) }
    return checksum(tensors, file.metadata.filter { $0.key != checksumKey })
  }

  /// Of everything that is read from the file: numbers that fit each other cannot be told from others in any other way.
  private static func checksum(_ tensors: [String: Tensor], _ metadata: [String: String]) -> String {
    var hash = ContentHash()
    for (key, text) in metadata.sorted(by: { $0.key < $1.key }) {
      hash.add(key)
      hash.add(text)
    }
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      hash.add(name)
      hash.add(tensor)
    }
    return hash.text
  }

  /// The run is complete.
  func remove() { unlink(path) }

  static func notResumable(_ method: any SaliencyMethod) -> InputError {
    InputError("--resume: maps of \(method.name) cannot go on from an earlier run")
  }
}
