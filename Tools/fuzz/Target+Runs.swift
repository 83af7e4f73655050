// What a generation goes on from, and what the explorer's page asks for.

import Artifacts
import ConceptAttention
import EmbeddedModels
import Explorer
import Formats
import Foundation
import Models
import Tensor

extension Target {
  static func runs(_ work: WorkFolder) throws -> [Target] { [try resume(), try explorerRequest(work)] }

  /// States of a run of the embedded model, which goes on from them to its end.
  private static func resume() throws -> Target {
    let pipeline = try openPipeline(EmbeddedModel.tinyFlux.rawValue)
    var request = GenerationRequest("a boat")
    (request.width, request.height, request.steps) = (32, 16, 3)
    request.blockCache = 0.1
    let plan = try pipeline.plan(request), method = try pipeline.conceptAttention(["boat", "sea"])
    return Target(name: "resume", repair: withChecksum) { file in
      let saved = try SavedGeneration(SafetensorsFile(file))
      try method.resume(from: saved.sums)
      let result = try pipeline.denoise(plan, processors: [method], resuming: saved.state) { _ in nil }
      bytesRead += result.frames.count + (try method.maps().average.count)
    }
  }

  private static func withChecksum(_ bytes: [UInt8]) -> [UInt8] {
    guard let file = try? SafetensorsFile(MappedFile(contents: bytes, name: "fuzz")),
      let found = file.metadata[SavedGeneration.checksumKey]
    else { return bytes }
    var tensors: [String: Tensor] = [:]
    for name in file.names { tensors[name] = try? file.tensor(name) }
    let right = SavedGeneration.checksum(tensors, file.metadata)
    guard found.utf8.count == right.utf8.count, let place = Data(bytes).range(of: Data(found.utf8)) else {
      return bytes
    }
    var bytes = bytes
    bytes.replaceSubrange(place, with: right.utf8)
    return bytes
  }

  private static func explorerRequest(_ work: WorkFolder) throws -> Target {
    let folder = "\(work.path)/runs", limits = ExplorerLimits()
    let store = try RunStore(folder: folder)
    try FileManager.default.createDirectory(atPath: "\(folder)/0001", withIntermediateDirectories: true)
    for name in ["uploads/a.png", "uploads/v.npy", "0001/tensors.safetensors"] {
      try AtomicFile.write([], to: "\(folder)/\(name)")
    }
    return Target(name: "explorer-request") { file in
      let request = try RunRequest(json: file.withBytes { Data($0) })
      try request.check(limits)
      for argument in try request.arguments(folder: "\(folder)/0002", in: store) { bytesRead += argument.utf8.count }
    }
  }
}
