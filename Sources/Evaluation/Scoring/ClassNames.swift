import Formats

/// What a data set's classes are called as concepts: a table that users can replace, a JSON object from class to concept.
///
/// Concepts of a single token suit ConceptAttention best; names of several are handled by `ConceptTokens`.
public struct ClassNames: Sendable, Equatable {
  public var concepts: [String: String]

  public init(_ concepts: [String: String] = [:]) { self.concepts = concepts }

  /// The concept of a class; its own name unless the table has another.
  public func concept(of name: String) -> String { concepts[name] ?? name }

  /// - Throws: `DatasetProblem` naming the file
  public init(path: String) throws { try self.init(settingsFile(path)) }

  /// Reads a file that is mapped already, or bytes in memory.
  ///
  /// - Throws: `DatasetProblem`
  public init(_ file: MappedFile) throws {
    do { concepts = try decodedSettings([String: String].self, file) } catch let problem as DatasetProblem {
      throw DatasetProblem(file.path, "expected a JSON object from names of classes to concepts: \(problem.reason)")
    }
  }

  /// The names ConceptAttention's authors use for PASCAL VOC.
  public static let paperVOC = ClassNames([
    "aeroplane": "plane", "bicycle": "bike", "diningtable": "table", "motorbike": "motorcycle", "pottedplant": "pot",
    "tvmonitor": "monitor",
  ])
}
