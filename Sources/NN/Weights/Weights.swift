import Tensor

/// A cursor into a weight source: `w["attn"]["to_q"]` stands at `attn.to_q`, and a layer takes its tensors from there.
///
/// A weight that is missing or has another shape is written down and replaced by a tensor without elements, so that layer
/// initialisers do not throw and one run reports everything; `load` throws the report. What a wrong configuration asks for
/// is thus never allocated.
public struct Weights {
  /// The dotted path of this cursor.
  public let path: String
  let source: any WeightSource
  let ledger: Ledger

  final class Ledger {
    var taken: Set<String> = []
    var visit: ((String, Parameter) -> Void)?
    /// The first of them: a report of thousands of weights helps nobody.
    private(set) var problems: [WeightProblem] = []
    private(set) var problemCount = 0

    static let mostProblems = 1000

    func add(_ problem: WeightProblem) {
      problemCount += 1
      if problems.count < Self.mostProblems { problems.append(problem) }
    }
  }

  public init(_ source: any WeightSource) {
    self.init(path: "", source: source, ledger: Ledger())
  }

  private init(path: String, source: any WeightSource, ledger: Ledger) {
    self.path = path
    self.source = source
    self.ledger = ledger
  }

  public subscript(_ name: String) -> Weights {
    Weights(path: full(name), source: source, ledger: ledger)
  }
  public subscript(_ index: Int) -> Weights { self[String(index)] }

  /// A dense weight of exactly this shape, in the checkpoint's element type.
  public func tensor(_ name: String, _ shape: Int...) -> Tensor { tensor(name, shape: shape) }

  public func tensor(_ name: String, shape: [Int]) -> Tensor {
    take(name, shape)?.tensor ?? Weights.placeholder(shape)
  }

  /// A matrix, `[rows, columns]`, quantised if the checkpoint has it so.
  public func matrix(_ name: String, _ rows: Int, _ columns: Int) -> Parameter {
    take(name, [rows, columns]) ?? .dense(Weights.placeholder([rows, columns]))
  }

  /// Whether every weight taken so far was there. Initialisers that compute something as large as the configuration says
  /// ask before they do.
  public var isComplete: Bool { ledger.problemCount == 0 }

  /// Stands in for a weight until `load` throws: as many axes, no elements.
  private static func placeholder(_ shape: [Int]) -> Tensor { Tensor(zeros: shape.map { $0 == 1 ? 1 : 0 }) }

  /// Whether the checkpoint has this weight: for parts a configuration does not tell about.
  public func contains(_ name: String) -> Bool { source.shape(of: full(name)) != nil }

  /// The shape of a weight, for parts whose size a configuration does not tell.
  public func shape(of name: String) -> [Int]? { source.shape(of: full(name)) }

  private func full(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

  private func take(_ name: String, _ shape: [Int]) -> Parameter? {
    let name = full(name)
    ledger.taken.insert(name)
    if let generated = source.generated(name, shape: shape) { return .dense(generated) }
    guard let found = source.shape(of: name) else {
      ledger.add(.missing(name))
      return nil
    }
    guard found == shape else {
      ledger.add(.shape(name, expected: shape, found: found, file: source.file(of: name)))
      return nil
    }
    do {
      let parameter = try source.parameter(name)
      ledger.visit?(name, parameter)
      return parameter
    } catch {
      ledger.add(.unreadable(name, reason: "\(error)"))
      return nil
    }
  }
}

/// One thing wrong between a model and its checkpoint.
public enum WeightProblem: Error, Equatable, Sendable, CustomStringConvertible {
  case missing(String)
  case shape(String, expected: [Int], found: [Int], file: String?)
  case unreadable(String, reason: String)
  case unused([String])

  public var description: String {
    switch self {
    case .missing(let name): "weight '\(name)' is missing"
    case .shape(let name, let expected, let found, let file):
      "weight '\(name)': expected shape \(expected), found \(found)" + (file.map { "\n       in \($0)" } ?? "")
    case .unreadable(let name, let reason): "weight '\(name)' cannot be read: \(reason)"
    case .unused(let names): "\(names.count) weights were not used: \(WeightReport.list(names))"
    }
  }
}

/// Everything wrong between a model and its checkpoint, in one error.
public struct WeightReport: Error, Equatable, CustomStringConvertible {
  public let problems: [WeightProblem]
  /// What the configuration says, to tell a wrong checkpoint from a broken one.
  public var hint: String?

  public init(_ problems: [WeightProblem], hint: String? = nil) {
    self.problems = problems
    self.hint = hint
  }

  public var description: String {
    let missing = problems.compactMap { (problem) -> String? in
      if case .missing(let name) = problem { name } else { nil }
    }
    var lines = problems.compactMap { (problem) -> String? in
      if case .missing = problem { nil } else { problem.description }
    }
    if missing.count == 1 { lines.append("weight '\(missing[0])' is missing") }
    if missing.count > 1 { lines.append("\(missing.count) weights are missing: \(WeightReport.list(missing))") }
    if lines.count > WeightReport.mostLines {
      let more = lines.count - WeightReport.mostLines
      lines = lines.prefix(WeightReport.mostLines) + ["and \(more) more of this kind"]
    }
    if let hint { lines.append("hint: \(hint)") }
    return lines.joined(separator: "\n")
  }

  /// Of the description; `problems` has them all, up to a thousand.
  private static let mostLines = 20

  static func list(_ names: [String]) -> String {
    names.prefix(8).joined(separator: ", ") + (names.count > 8 ? ", …" : "")
  }
}

/// Builds a model from a source and holds it against it.
///
/// - Parameters:
///   - allowUnused: names the checkpoint may have beyond what the model takes (buffers such as `position_ids`)
///   - hint: added to the report when there is one
///   - visit: given every weight that the model takes
/// - Throws: `WeightReport` with every missing, mis-shaped, unreadable and unused weight
public func load<Model>(
  from source: any WeightSource, allowUnused: (String) -> Bool = { _ in false }, hint: String? = nil,
  visit: ((String, Parameter) -> Void)? = nil, _ build: (Weights) throws -> Model
) throws -> Model {
  let weights = Weights(source)
  weights.ledger.visit = visit
  let model = try build(weights)
  var problems = weights.ledger.problems
  let unused = source.names.filter { !weights.ledger.taken.contains($0) && !allowUnused($0) }.sorted()
  if !unused.isEmpty { problems.append(.unused(unused)) }
  if !problems.isEmpty { throw WeightReport(problems, hint: hint) }
  return model
}
