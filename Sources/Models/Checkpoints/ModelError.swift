/// Something wrong with a model folder: what, where, what was found and what was expected.
public struct ModelError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case noFolder
    case missingFile(String, hint: String?)
    case badConfig(String)
    case unknownFamily(found: String, known: [String])
    case unsupported(String)
  }

  /// The folder or file.
  public let path: String
  public let problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String {
    switch problem {
    case .noFolder: "\(path): no such model folder"
    case .missingFile(let name, let hint): "\(path): '\(name)' is missing" + (hint.map { "; \($0)" } ?? "")
    case .badConfig(let reason): "\(path): \(reason)"
    case .unknownFamily(let found, let known):
      "\(path): model family '\(found)' is not known; known are \(known.joined(separator: ", "))"
    case .unsupported(let what): "\(path): \(what)"
    }
  }
}
