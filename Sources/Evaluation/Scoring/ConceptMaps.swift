import Formats
import Foundation
import Tensor

/// The maps of one picture, whoever made them.
public struct ConceptMaps: Sendable {
  public let id: String
  public let concepts: [String]
  public let height, width: Int
  /// Row-major `[concepts, height, width]`.
  public let values: [Double]
  /// Whether the maps came with their columns one after the other: the order NumPy adds up their values in.
  let isColumnMajor: Bool

  /// - Parameter maps: `[concepts, height, width]`
  /// - Throws: `MapProblem` for maps that cannot be scored
  public init(id: String, concepts: [String], maps: Tensor) throws(MapProblem) {
    guard maps.rank == 3, maps.count > 0, maps.shape[0] == concepts.count else {
      let found = "maps of shape \(maps.shape) for \(concepts.count) concepts"
      throw MapProblem(id, "\(found), expected [concepts, height, width]")
    }
    guard maps.shape[1] <= 1 << 15, maps.shape[2] <= 1 << 15, concepts.count <= 1 << 12 else {
      throw MapProblem(id, "maps of shape \(maps.shape) are too large")
    }
    self.id = id
    self.concepts = concepts
    height = maps.shape[1]
    width = maps.shape[2]
    isColumnMajor = maps.strides[1] < maps.strides[2]
    values = maps.converted(to: .f64).scalars(as: Double.self)
    // Sums of a few of them are numbers too.
    guard values.allSatisfy({ abs($0) < 1e300 }) else {
      throw MapProblem(id, "a map has a value that is no finite number, or above 1e300")
    }
  }

  /// `f32`, `[concepts, height, width]`.
  public var tensor: Tensor { Tensor(values.map { Float($0) }, shape: [concepts.count, height, width]) }

  func value(_ concept: Int) -> ArraySlice<Double> { values[concept * height * width..<(concept + 1) * height * width] }
}

/// Maps that cannot be scored: whose, and why.
public struct MapProblem: Error, Equatable, CustomStringConvertible {
  public let id: String
  public let reason: String

  init(_ id: String, _ reason: String) {
    self.id = id
    self.reason = reason
  }

  public var description: String { "\(id): \(reason)" }
}

/// A folder of `.npz` files with `maps` (`[concepts, height, width]`), `concepts` (names) and `id`, one a picture.
public struct MapFolder: Sendable {
  public let path: String
  private let files: [String: String]
  /// Files that are none, and why.
  public let problems: [MapProblem]

  /// Reads the ids of all files; a file without one is known by its name.
  ///
  /// - Throws: `MapProblem` when there is no such folder or no file of maps in it
  public init(_ path: String) throws {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw MapProblem(path, "no such folder")
    }
    self.path = path
    var files: [String: String] = [:], problems: [MapProblem] = []
    for name in names.sorted(by: precedes) where name.hasSuffix(".npz") {
      do {
        let file = try NpzFile(path: "\(path)/\(name)")
        let id = file.contains("id") ? try file.strings("id").first ?? "" : String(name.dropLast(4))
        if let other = files.updateValue(name, forKey: id) {
          problems.append(MapProblem(name, "has the id '\(id)' of \(other) too; the last one counts"))
        }
      } catch { problems.append(MapProblem(name, "\(error)")) }
    }
    if files.isEmpty {
      throw MapProblem(path, problems.first.map { "no maps: \($0)" } ?? "there is no .npz file of maps")
    }
    self.files = files
    self.problems = problems
  }

  public var ids: Set<String> { Set(files.keys) }

  /// - Throws: `MapProblem` when there are none for this picture, or they cannot be used
  public func maps(_ id: String) throws -> ConceptMaps {
    guard let name = files[id] else { throw MapProblem(id, "there are no maps for it in \(path)") }
    do {
      let file = try NpzFile(path: "\(path)/\(name)")
      return try ConceptMaps(id: id, concepts: file.strings("concepts"), maps: file.tensor("maps"))
    } catch let problem as MapProblem {
      throw problem
    } catch { throw MapProblem(id, "\(error)") }
  }

  /// Writes the maps of a picture as such a file.
  ///
  /// - Parameter maps: `[concepts, height, width]`
  public static func write(_ maps: Tensor, concepts: [String], id: String, to folder: String) throws {
    var writer = try NpzWriter(path: "\(folder)/\(fileName(id)).npz")
    try writer.write("maps", maps.converted(to: .f32))
    try writer.write("concepts", strings: concepts)
    try writer.write("id", strings: [id], shape: [])
    try writer.finish()
  }

  /// A name that no other id has: what does not belong into a file's name stands as `%2F` does in addresses.
  private static func fileName(_ id: String) -> String {
    let kept = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._- ".utf8)
    let name = id.utf8.map { byte in
      kept.contains(byte) || byte >= 0x80
        ? [byte] : Array("%\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))".utf8)
    }.joined()
    let text = String(decoding: name, as: UTF8.self)
    // File systems take 255 bytes.
    return name.count <= 240
      ? text : "\(String(decoding: name.prefix(200), as: UTF8.self))-\(String(hashOf(id), radix: 16))"
  }
}
