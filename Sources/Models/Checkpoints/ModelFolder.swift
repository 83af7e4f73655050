import Formats
import Foundation
import NN
import Tensor

/// A model in the diffusers layout: `model_index.json` and a folder per component.
public struct ModelFolder: Sendable {
  public let path: String
  /// `_class_name` of `model_index.json`, such as `FluxPipeline`.
  public let pipelineClass: String
  let components: Set<String>

  /// - Throws: `ModelError` when the folder or its index is missing or malformed
  public init(_ path: String) throws {
    self.path = path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      throw ModelError(path, .noFolder)
    }
    let index: Index = try decodeJSON(Index.self, path: "\(path)/model_index.json")
    pipelineClass = index.pipelineClass
    components = index.components
  }

  /// Whether the index names this component and does not leave it out (`[null, null]`).
  public func has(_ component: String) -> Bool { components.contains(component) }

  public func folder(_ component: String) -> String { "\(path)/\(component)" }

  /// Whether the component's folder has files of weights.
  func hasWeights(_ component: String) -> Bool {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: folder(component))) ?? []
    return entries.contains { $0.hasSuffix(".safetensors") || $0.hasSuffix(".safetensors.index.json") }
  }

  /// Whether the component's folder is there.
  public func exists(_ component: String) -> Bool { FileManager.default.fileExists(atPath: folder(component)) }

  /// A component's configuration.
  public func config<Config: Decodable>(
    _ component: String, as type: Config.Type, file: String = "config.json"
  ) throws -> Config {
    try decodeJSON(type, path: "\(folder(component))/\(file)")
  }

  public func weights(_ component: String) throws -> SafetensorsWeights {
    try SafetensorsWeights(folder: folder(component))
  }

  package struct Index: Decodable {
    let pipelineClass: String
    let components: Set<String>

    struct Key: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    package init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: Key.self)
      pipelineClass = try values.decode(String.self, forKey: Key(stringValue: "_class_name"))
      components = Set(
        values.allKeys.filter { key in
          let classes = try? values.decode([String?].self, forKey: key)
          return classes?.last.flatMap { $0 } != nil
        }.map(\.stringValue))
    }
  }
}

/// Decodes a JSON file.
///
/// - Throws: `ModelError` naming the file, the key and what is wrong with it
func decodeJSON<Value: Decodable>(_ type: Value.Type, path: String) throws -> Value {
  let file: MappedFile
  do {
    file = try MappedFile(path: path)
  } catch let error as FileError where error.code == ENOENT || error.code == ENOTDIR {
    let folder = (path as NSString).deletingLastPathComponent
    throw ModelError(folder, .missingFile((path as NSString).lastPathComponent, hint: nil))
  }
  return try decodeJSON(type, file)
}

/// Decodes the bytes of a JSON file.
///
/// - Throws: `ModelError` naming the file, the key and what is wrong with it
package func decodeJSON<Value: Decodable>(_ type: Value.Type, _ file: MappedFile) throws -> Value {
  let path = file.path, limit = 1 << 24
  guard file.count <= limit else {
    throw ModelError(path, .badConfig("has \(file.count) bytes, expected a JSON file of at most \(limit)"))
  }
  do {
    return try JSONDecoder().decode(type, from: file.withBytes { Data($0) })
  } catch let error as DecodingError {
    throw ModelError(path, .badConfig(error.summary))
  } catch let error as SchedulerError {
    throw ModelError(path, .badConfig(error.summary))
  }
}
