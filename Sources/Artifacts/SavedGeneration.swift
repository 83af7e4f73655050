import ConceptAttention
import Formats
import Models
import Tensor

/// Where a generation stood when it was interrupted, as a safetensors file: latents, what the sampler remembers, what the
/// maps have added up so far.
///
/// The file has a checksum over everything that is read from it: numbers that fit each other cannot be told from others in
/// any other way.
package struct SavedGeneration {
  package let state: GenerationState
  /// What `ResumableMethod.resume(from:)` takes.
  package let sums: [String: Tensor]
  /// All that was asked for: a run goes on only as the same run.
  package let run: String
  /// The command line that asked for it, for people.
  package let command: String?

  package enum Problem: Error, Equatable, CustomStringConvertible {
    case noState(path: String), damaged(path: String)

    package var description: String {
      switch self {
      case .noState(let path): "\(path) is no state of a run"
      case .damaged(let path): "\(path) is damaged"
      }
    }
  }

  package init(_ state: GenerationState, sums: [String: Tensor], run: String, command: String?) {
    (self.state, self.sums, self.run, self.command) = (state, sums, run, command)
  }

  /// - Throws: `Problem`, `SafetensorsError`
  package init(_ file: SafetensorsFile) throws {
    let metadata = file.metadata
    guard let run = metadata["run"], let done = metadata["steps_done"].flatMap({ Int($0) }),
      let draws = metadata["draws"].flatMap({ Int($0) }), file.names.contains("latents")
    else { throw Problem.noState(path: file.path) }
    var tensors: [String: Tensor] = [:]
    for name in file.names { tensors[name] = try file.tensor(name) }
    guard metadata[Self.checksumKey] == Self.checksum(tensors, metadata) else { throw Problem.damaged(path: file.path) }
    func part(_ prefix: String) -> [String: Tensor] {
      let own = tensors.filter { $0.key.hasPrefix(prefix) }
      return Dictionary(uniqueKeysWithValues: own.map { (String($0.dropFirst(prefix.count)), $1.copied()) })
    }
    state = GenerationState(
      stepsDone: done, latents: try file.tensor("latents").copied(), draws: draws, memory: part("sampler."))
    (sums, self.run, command) = (part("maps."), run, metadata["command"])
  }

  package func write(to path: String) throws {
    var tensors = ["latents": state.latents.contiguous()]
    for (name, tensor) in state.memory { tensors["sampler.\(name)"] = tensor.contiguous() }
    for (name, tensor) in sums { tensors["maps.\(name)"] = tensor.contiguous() }
    var metadata = ["run": run, "steps_done": "\(state.stepsDone)", "draws": "\(state.draws)"]
    metadata["command"] = command
    metadata[Self.checksumKey] = Self.checksum(tensors, metadata)
    try SafetensorsFile.write(tensors, to: path, metadata: metadata)
  }

  package static let checksumKey = "checksum"

  package static func checksum(_ tensors: [String: Tensor], _ metadata: [String: String]) -> String {
    var hash = ContentHash()
    for (key, text) in metadata.sorted(by: { $0.key < $1.key }) where key != checksumKey {
      hash.add(key)
      hash.add(text)
    }
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      hash.add(name)
      hash.add(tensor)
    }
    return hash.text
  }
}
