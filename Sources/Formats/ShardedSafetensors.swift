// Checkpoints in several files: `model.safetensors.index.json` names the file of every tensor.

import Tensor

/// A checkpoint split over several safetensors files, seen as one.
///
/// Every shard's header is read and compared with the index when the checkpoint is opened: each tensor must be where
/// the index says, and the shards must hold nothing else. Values are read when used.
public struct ShardedSafetensors: Sendable {
  /// Path of the index file.
  public let path: String
  /// Names of all tensors, sorted.
  public let names: [String]
  /// The shards, by the names that the index gives them.
  public let shards: [String: SafetensorsFile]
  /// Shard of every tensor.
  public let weightMap: [String: String]

  /// Opens the index and all shards beside it.
  ///
  /// - Throws: `FileError` when the index cannot be mapped, `SafetensorsError` when a file is malformed, a shard is
  ///   missing or index and shards disagree
  public init(indexPath: String) throws {
    path = indexPath
    let file = try MappedFile(path: indexPath)
    weightMap = try file.withBytes { try Self.weightMap($0, path: indexPath) }
    names = weightMap.keys.sorted()
    let folder = indexPath.lastIndex(of: "/").map { String(indexPath[...$0]) } ?? ""
    var opened: [String: SafetensorsFile] = [:]
    for shard in Set(weightMap.values).sorted() { opened[shard] = try Self.open(shard, in: folder, index: indexPath) }
    shards = opened
    try checkAgreement()
  }

  public func contains(_ name: String) -> Bool { weightMap[name] != nil }

  /// The shard that holds a tensor; nil when there is none of that name.
  public func file(of name: String) -> SafetensorsFile? { weightMap[name].flatMap { shards[$0] } }

  /// Type, shape and place of a tensor in its shard; nil when there is none of that name.
  public func entry(_ name: String) -> SafetensorsEntry? { file(of: name)?.entry(name) }

  /// A tensor of the checkpoint, as a view on its shard's mapping.
  ///
  /// - Throws: `SafetensorsError` when there is no such tensor, or `Tensor` cannot hold its type
  public func tensor(_ name: String) throws -> Tensor {
    guard let file = file(of: name) else {
      throw SafetensorsError(path, .missingTensor(name, similar: similarNames(to: name, in: names)))
    }
    return try file.tensor(name)
  }

  public subscript(_ name: String) -> Tensor? { try? tensor(name) }

  private static func open(_ shard: String, in folder: String, index: String) throws -> SafetensorsFile {
    guard !shard.isEmpty, !shard.hasPrefix("/"), !shard.split(separator: "/").contains(".."), !shard.contains("\0")
    else {
      throw SafetensorsError(index, .shard(shard, reason: "expected a file name inside the folder of the index"))
    }
    do {
      return try SafetensorsFile(path: folder + shard)
    } catch let error as FileError {
      throw SafetensorsError(index, .shard(shard, reason: error.description))
    }
  }

  private func checkAgreement() throws {
    for name in names {
      if let shard = weightMap[name], shards[shard]?.contains(name) != true {
        throw SafetensorsError(path, .notInShard(tensor: name, shard: shard))
      }
    }
    for (shard, file) in shards.sorted(by: { $0.key < $1.key }) {
      for name in file.names where weightMap[name] == nil {
        throw SafetensorsError(path, .notInIndex(tensor: name, shard: shard))
      }
    }
  }

  package static func weightMap(_ text: UnsafeRawBufferPointer, path: String) throws -> [String: String] {
    var cursor = JSONCursor(text)
    var map: [String: String]?
    do {
      try cursor.object("'{'") { cursor, key in
        guard key == "weight_map" else { return try cursor.skipValue() }
        guard map == nil else { throw SafetensorsError(path, .duplicateName(key)) }
        var found: [String: String] = [:]
        try cursor.object("an object as weight_map") { cursor, name in
          guard found.updateValue(try cursor.string("a file name for '\(name)'"), forKey: name) == nil else {
            throw SafetensorsError(path, .duplicateName(name))
          }
        }
        map = found
      }
      cursor.skipSpace()
      guard cursor.isAtEnd else { throw cursor.failure("only spaces after the last '}'") }
    } catch let failure as JSONCursor.Failure {
      throw SafetensorsError(path, .index("byte \(failure.offset): expected \(failure.expected)"))
    }
    guard let map else { throw SafetensorsError(path, .index("expected an object weight_map, found none")) }
    return map
  }
}
