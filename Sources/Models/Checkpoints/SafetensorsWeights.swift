import Formats
import Foundation
import NN
import Tensor

/// The weights of one component: a safetensors file, or several with an index.
public struct SafetensorsWeights: WeightSource {
  private enum Files {
    case single(SafetensorsFile)
    case sharded(ShardedSafetensors)
  }

  private let content: Files

  /// One file, or the index (`….index.json`) of several.
  ///
  /// - Throws: what `SafetensorsFile` and `ShardedSafetensors` throw
  public init(path: String) throws {
    content =
      path.hasSuffix(".json")
      ? .sharded(try ShardedSafetensors(indexPath: path)) : .single(try SafetensorsFile(path: path))
  }

  /// The file (or index) that diffusers and transformers write into a component's folder.
  ///
  /// - Throws: `ModelError.missingFile` when there is none
  public init(folder: String) throws {
    let stems = ["diffusion_pytorch_model", "model", "diffusion_pytorch_model.fp16", "model.fp16"]
    let names = stems.flatMap { ["\($0).safetensors", "\($0).safetensors.index.json"] }
    guard let name = names.first(where: { FileManager.default.fileExists(atPath: "\(folder)/\($0)") }) else {
      let entries = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      let pickled = entries.first { $0.hasSuffix(".bin") }
      throw ModelError(
        folder,
        .missingFile(
          "*.safetensors",
          hint: pickled.map { "only '\($0)' is there: convert it to safetensors" }
            ?? "expected one of \(names[0]), \(names[2])"))
    }
    try self.init(path: "\(folder)/\(name)")
  }

  public var names: [String] {
    switch content {
    case .single(let file): file.names
    case .sharded(let shards): shards.names
    }
  }

  public func shape(of name: String) -> [Int]? { entry(name)?.shape }

  public func parameter(_ name: String) throws -> Parameter {
    switch content {
    case .single(let file): .dense(try file.tensor(name))
    case .sharded(let shards): .dense(try shards.tensor(name))
    }
  }

  public func file(of name: String) -> String? {
    switch content {
    case .single(let file): file.path
    case .sharded(let shards): shards.file(of: name)?.path
    }
  }

  public var files: [String] {
    switch content {
    case .single(let file): [file.path]
    case .sharded(let shards): shards.shards.values.map(\.path).sorted()
    }
  }

  public func release() {
    switch content {
    case .single(let file): file.advise(.dontNeed)
    case .sharded(let shards): for file in shards.shards.values { file.advise(.dontNeed) }
    }
  }

  private func entry(_ name: String) -> SafetensorsEntry? {
    switch content {
    case .single(let file): file.entry(name)
    case .sharded(let shards): shards.entry(name)
    }
  }
}
