import NN
import Tensor

/// A source seen under other names: a file with one project's names, read by a model with another's.
///
/// What no rule mentions keeps its name, so that a load reports it as unused instead of passing over it.
public struct RenamedWeights: WeightSource {
  /// What of the original makes the weight.
  public enum Part: Equatable, Sendable {
    case whole
    /// Some rows of a matrix (or elements of a vector) that must have `of` of them: one of several fused layers.
    case rows(Range<Int>, of: Int)
    /// The second half of the rows, then the first.
    case exchangedHalves
    /// Some of so many equal parts of the rows, one after the other.
    case chunks([Int], of: Int)
    /// The matrix `[outputs, inputs]` that a convolution with a kernel of extent 1, `[outputs, inputs, 1, …]`, is.
    case matrix
  }

  /// Where a weight comes from.
  public struct Origin: Equatable, Sendable {
    /// Its name in the source.
    public var name: String
    public var part: Part

    public init(_ name: String, _ part: Part = .whole) {
      self.name = name
      self.part = part
    }
  }

  public let base: any WeightSource
  /// By new name.
  public let origins: [String: Origin]
  public let names: [String]
  private let kept: Set<String>

  /// - Parameters:
  ///   - origins: by new name
  ///   - prefix: originals whose names begin otherwise belong to other models and are left out
  public init(_ base: any WeightSource, _ origins: [String: Origin], prefix: String = "") {
    self.base = base
    self.origins = origins
    let mapped = Set(origins.values.map(\.name))
    kept = Set(base.names.filter { $0.hasPrefix(prefix) && !mapped.contains($0) && origins[$0] == nil })
    names = kept.union(origins.keys).sorted()
  }

  /// The part's shape; the whole original's when it has no such part, which a model then finds to be wrong.
  public func shape(of name: String) -> [Int]? {
    guard let origin = origins[name] else { return kept.contains(name) ? base.shape(of: name) : nil }
    return base.shape(of: origin.name).map { origin.part.shape(of: $0) ?? $0 }
  }

  public func parameter(_ name: String) throws -> Parameter {
    guard let origin = origins[name] else {
      guard kept.contains(name) else { throw WeightProblem.missing(name) }
      return try base.parameter(name)
    }
    let whole = try base.parameter(origin.name)
    guard origin.part.shape(of: whole.shape) != nil else {
      throw WeightProblem.shape(
        origin.name, expected: origin.part.expected(whole.shape), found: whole.shape, file: base.file(of: origin.name))
    }
    return origin.part.taken(from: whole)
  }

  public var files: [String] { base.files }
  public func release() { base.release() }

  public func file(of name: String) -> String? {
    guard let origin = origins[name] else { return base.file(of: name) }
    return base.file(of: origin.name).map { "\($0), as '\(origin.name)'" }
  }
}

extension RenamedWeights.Part {
  /// The shape of this part of a weight; nil when the weight has no such part.
  func shape(of whole: [Int]) -> [Int]? {
    switch self {
    case .whole: whole
    case .rows(let rows, let total):
      whole.first == total && rows.upperBound <= total ? [rows.count] + whole.dropFirst() : nil
    case .exchangedHalves: whole.first.map { $0 % 2 == 0 } == true ? whole : nil
    case .chunks(let chosen, let count):
      whole.first.map { $0 % count == 0 } == true ? [whole[0] / count * chosen.count] + whole.dropFirst() : nil
    case .matrix: whole.count >= 2 && whole.dropFirst(2).allSatisfy { $0 == 1 } ? Array(whole.prefix(2)) : nil
    }
  }

  fileprivate func expected(_ whole: [Int]) -> [Int] {
    switch self {
    case .whole: whole
    case .rows(_, let total): [total] + whole.dropFirst()
    case .exchangedHalves: whole.isEmpty ? [2] : [whole[0] + 1] + whole.dropFirst()
    case .chunks(_, let count):
      whole.isEmpty ? [count] : [(whole[0] + count - 1) / count * count] + whole.dropFirst()
    case .matrix: Array(whole.prefix(2)) + whole.dropFirst(2).map { _ in 1 }
    }
  }

  /// This part of a weight that has it: a view, but for exchanged halves and chunks. Rows of a quantised matrix stay quantised.
  func taken(from whole: Parameter) -> Parameter {
    switch (self, whole) {
    case (.whole, _): return whole
    case (.rows(let rows, _), .dense(let tensor)):
      return .dense(tensor.narrow(0, from: rows.lowerBound, count: rows.count))
    case (.rows(let rows, _), .quantized(let matrix)): return .quantized(matrix.rows(rows))
    case (.exchangedHalves, _):
      let halves = whole.tensor.chunked(2, axis: 0)
      return .dense(concatenated([halves[1], halves[0]]))
    case (.chunks(let chosen, let count), _):
      let chunks = whole.tensor.chunked(count, axis: 0)
      return .dense(concatenated(chosen.map { chunks[$0] }))
    case (.matrix, .dense(let tensor)): return .dense(tensor.reshaped(Array(tensor.shape.prefix(2))))
    case (.matrix, .quantized(let matrix)):
      return matrix.shape.count == 2 ? whole : .dense(matrix.dequantized().reshaped(Array(matrix.shape.prefix(2))))
    }
  }
}
