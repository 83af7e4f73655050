import Foundation

/// One benchmark: an operation on given sizes and one element type.
public struct Case: Sendable, Hashable {
  /// `operation/label/dtype`, such as `linear/512x3072x9216/bf16`: what `--filter` matches and records carry.
  public let name: String
  public let operation: String
  public let dtype: String
  /// Sizes by the operation's own names.
  public let sizes: [String: Int]
  /// The least peer time / our time that is called good; nil where no bar is set.
  public let bar: Double?
  /// The highest peak memory / (input + output) that is called good. Set where memory is measured.
  public let memoryBar: Double?
  /// Left out unless asked for: takes many seconds, or writes a large file.
  public let isSlow: Bool

  public init(
    operation: String, label: String, dtype: String, sizes: [String: Int], bar: Double? = nil,
    memoryBar: Double? = nil, isSlow: Bool = false
  ) {
    name = "\(operation)/\(label)/\(dtype)"
    self.operation = operation
    self.dtype = dtype
    self.sizes = sizes
    self.bar = bar
    self.memoryBar = memoryBar
    self.isSlow = isSlow
  }

  /// A size that the operation needs.
  public func size(_ key: String) throws -> Int {
    guard let value = sizes[key], value > 0 else {
      throw BenchmarkError("case '\(name)': size '\(key)' is missing or not positive; sizes are \(sizes)")
    }
    return value
  }
}

/// What goes wrong in a benchmark run, in words.
public struct BenchmarkError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// The cases of `cases.json`, in its order.
public struct Catalogue: Sendable {
  public let cases: [Case]

  public init(path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw BenchmarkError("cannot read '\(path)'")
    }
    do {
      try self.init(JSONDecoder().decode(File.self, from: data))
    } catch let error as DecodingError {
      throw BenchmarkError("'\(path)': \(error)")
    }
  }

  private init(_ file: File) throws {
    cases = file.cases.flatMap { entry in
      entry.dtypes.map { dtype in
        Case(
          operation: entry.operation, label: entry.label, dtype: dtype, sizes: entry.sizes, bar: entry.bars?[dtype],
          memoryBar: entry.memoryBar, isSlow: entry.slow ?? false)
      }
    }
    var seen: Set<String> = []
    for one in cases where !seen.insert(one.name).inserted {
      throw BenchmarkError("case '\(one.name)' is listed twice")
    }
  }

  /// - Parameters:
  ///   - filters: full names, or regular expressions of which a name must contain one; none for all
  ///   - dtype: only this element type
  ///   - slow: whether slow cases are wanted; a slow case whose full name is a filter is taken in any case
  public func selected(filters: [String], dtype: String?, slow: Bool) throws -> [Case] {
    let patterns = try filters.map { filter in
      do { return try Regex(filter) } catch { throw BenchmarkError("--filter '\(filter)': \(error)") }
    }
    return cases.filter { one in
      (slow || !one.isSlow || filters.contains(one.name)) && (dtype == nil || one.dtype == dtype)
        // A full name need not be escaped, though it may have a '+'.
        && (patterns.isEmpty || filters.contains(one.name) || patterns.contains { one.name.contains($0) })
    }
  }

  private struct File: Decodable { let cases: [Entry] }

  private struct Entry: Decodable {
    let operation, label: String
    let sizes: [String: Int]
    let dtypes: [String]
    let bars: [String: Double]?
    let memoryBar: Double?
    let slow: Bool?
  }
}
