import Formats
import Foundation
import Tensor
import Testing

/// One case computed by the reference implementation: a folder with `case.json`, usually `io.safetensors`, and
/// the model files the case names.
public struct GoldenCase: Sendable, CustomTestStringConvertible {
  /// Path below the root, such as `layers/conv2d-k1`.
  public let name: String
  public let folder: URL
  /// What is computed; decides which suite runs the case.
  public let kind: String
  public let config: JSON
  public let tolerance: Tolerance
  /// The whole of `case.json`.
  public let json: JSON

  public var testDescription: String { name }

  /// Inputs (`in.<name>` in the file) under their bare names.
  public func inputs() throws -> [String: Tensor] { try tensors(prefix: "in.") }
  /// Expected outputs (`out.<name>`) under their bare names.
  public func outputs() throws -> [String: Tensor] { try tensors(prefix: "out.") }

  /// Path of a file the case names, relative to its folder.
  public func path(_ relative: String) -> String { folder.appendingPathComponent(relative).standardized.path }

  /// Another case, by its folder relative to this one's.
  public func other(_ relative: String) -> GoldenCase { Golden.read(folder: path(relative)) }

  private func tensors(prefix: String) throws -> [String: Tensor] {
    let path = self.path("io.safetensors")
    guard FileManager.default.fileExists(atPath: path) else { return [:] }
    let file = try SafetensorsFile(path: path)
    var result: [String: Tensor] = [:]
    for name in file.names where name.hasPrefix(prefix) {
      result[String(name.dropFirst(prefix.count))] = try file.tensor(name)
    }
    return result
  }
}

/// Finds the golden cases below `Tests/Fixtures`, or below the folder that `FIXTURES_ROOT` names.
public enum Golden {
  public static let root: URL = {
    if let root = ProcessInfo.processInfo.environment["FIXTURES_ROOT"], !root.isEmpty {
      return URL(fileURLWithPath: root, isDirectory: true)
    }
    return fixtures
  }()

  /// What the repository holds, wherever the parity tests look.
  public static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures", isDirectory: true)

  /// A case of the repository, for tests that start from its files.
  public static func fixture(_ name: String) -> GoldenCase {
    read(fixtures.appendingPathComponent("\(name)/case.json"), below: fixtures)
  }

  public static var rootPath: String { root.path }

  /// Every case below the root, in order of name. One whose `case.json` cannot be read has the kind `unreadable`.
  public static let all: [GoldenCase] = {
    guard let walker = FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil) else { return [] }
    var cases: [GoldenCase] = []
    for case let file as URL in walker where file.lastPathComponent == "case.json" {
      cases.append(read(file, below: root))
    }
    return cases.sorted { $0.name < $1.name }
  }()

  /// The cases whose kind is one of `Kind`'s.
  public static func cases<Kind: GoldenKind>(_ kinds: Kind.Type) -> [GoldenCase] {
    all.filter { Kind(rawValue: $0.kind) != nil }
  }

  fileprivate static func read(folder: String) -> GoldenCase {
    read(URL(fileURLWithPath: "\(folder)/case.json"), below: root)
  }

  private static func read(_ file: URL, below root: URL) -> GoldenCase {
    let folder = file.deletingLastPathComponent()
    let prefix = root.standardizedFileURL.path + "/"
    let path = folder.standardizedFileURL.path
    let name = path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
    let json = (try? JSONDecoder().decode(JSON.self, from: Data(contentsOf: file))) ?? .null
    let tolerance = json.tolerance_f32
    return GoldenCase(
      name: name, folder: folder, kind: json.kind.string ?? "unreadable", config: json.config,
      tolerance: Tolerance(absolute: tolerance.abs.double ?? 0, relativeToMax: tolerance.rel_to_max.double ?? 0),
      json: json)
  }
}

/// The kinds of case one test target runs; its suite switches over them exhaustively.
public protocol GoldenKind: RawRepresentable<String>, CaseIterable, Sendable {}

extension GoldenCase {
  /// This case's kind as one of `Kind`'s.
  public func kind<Kind: GoldenKind>(_ type: Kind.Type) throws -> Kind { try #require(Kind(rawValue: kind)) }
}
