import Formats
import Foundation
import Harness
import Tensor

extension Operations {
  /// Opens a safetensors file of `megabytes` MB of bf16 matrices and reads one element per page of every tensor, so that
  /// each byte's page is mapped: what a model's first forward pass pays beyond arithmetic. The file is in the page cache.
  @Sendable static func safetensors(_ one: Case) throws -> Workload {
    _ = try dtype(one, among: [.bf16])
    let file = try CheckpointFile(megabytes: one.size("megabytes"))
    let elementsPerPage = 2048
    return Workload(
      limit: .other, inputOutputBytes: file.byteCount, tolerance: 0,
      run: {
        let checkpoint = try SafetensorsFile(path: file.path)
        for name in checkpoint.names {
          let tensor = try checkpoint.tensor(name)
          keep(tensor.reshaped([tensor.count / elementsPerPage, elementsPerPage]).select(1, 0).contiguous())
        }
      },
      probe: {
        let checkpoint = try SafetensorsFile(path: file.path)
        return try Inputs.probedIndices(checkpoint.names.count).map { index in
          let tensor = try checkpoint.tensor(CheckpointFile.name(index))
          return Probe(actual: Double(tensor[0, 0].item), expected: CheckpointFile.value(index))
        }
      })
  }
}

/// A checkpoint of our own making in the temporary folder, removed with this object.
private final class CheckpointFile {
  static let rows = 2048, columns = 4096  // 16 MB of bf16

  let path: String
  let byteCount: Int

  init(megabytes: Int) throws {
    let count = max(1, megabytes / 16)
    byteCount = count * Self.rows * Self.columns * 2
    path =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("bench-\(ProcessInfo.processInfo.processIdentifier)-\(megabytes).safetensors").path
    var tensors: [String: Tensor] = [:]
    for index in 0..<count {
      let value = Tensor([Float(Self.value(index))], shape: [1, 1]).converted(to: .bf16)
      tensors[Self.name(index)] = value.broadcast(to: [Self.rows, Self.columns])
    }
    try SafetensorsFile.write(tensors, to: path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  static func name(_ index: Int) -> String { "blocks.\(index).weight" }
  static func value(_ index: Int) -> Double { Double(index + 1) }
}
