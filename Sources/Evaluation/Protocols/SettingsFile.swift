import Formats
import Foundation
import Models

/// Maps a small file of JSON that users write.
///
/// - Throws: `DatasetProblem` naming the file and why it cannot be read
func settingsFile(_ path: String) throws -> MappedFile {
  do { return try MappedFile(path: path) } catch let error as FileError {
    throw DatasetProblem(path, error.explanation)
  }
}

/// Decodes such a file.
///
/// - Throws: `DatasetProblem` naming the file, the key and what is wrong with it
func decodedSettings<Value: Decodable>(_ type: Value.Type, _ file: MappedFile) throws -> Value {
  let limit = 1 << 24
  guard file.count <= limit else {
    throw DatasetProblem(file.path, "has \(file.count) bytes, expected a JSON file of at most \(limit)")
  }
  do {
    return try JSONDecoder().decode(type, from: file.withBytes { Data($0) })
  } catch let error as DecodingError { throw DatasetProblem(file.path, error.summary) }
}
