import Foundation
import Models

/// The models that come with the package.
public enum EmbeddedModel: String, Sendable, CaseIterable {
  /// A small FLUX trained on drawn scenes; see its `MODEL_CARD.md`.
  case tinyFlux = "tiny-flux"
  /// A small Stable Diffusion 3.5 trained on the same world; see its `MODEL_CARD.md`.
  case tinySD3 = "tiny-sd3"
  /// A small CogVideoX trained on the same world in motion; see its `MODEL_CARD.md`.
  case tinyCogVideoX = "tiny-cogvideox"

  /// Its folder in the diffusers layout.
  ///
  /// - Throws: `EmbeddedModelError` when it is nowhere, as after the program alone was copied to another machine
  public var folder: String { get throws { try Self.resource(rawValue) } }

  /// Held-out scenes with masks, for measuring concept maps.
  ///
  /// - Throws: `EmbeddedModelError`
  public var scenes: String { get throws { try Self.resource("\(rawValue)-scenes") } }

  private static func resource(_ name: String) throws -> String {
    let candidates = places.map { "\($0)/\(name)" }
    guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      throw EmbeddedModelError(name: name, searched: candidates)
    }
    return found
  }

  /// Where the resources may be: in the bundle beside the program, as the package manager builds it; where `make install`
  /// puts them; and in the sources that the program was built from. `Bundle.module` knows the first only, and stops the
  /// program when it is not there.
  private static let places: [String] = {
    // Through links, so that a link to the program in a folder of PATH finds what is beside the program.
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    let executable = program == "/proc/self/exe" ? Bundle.main.executablePath ?? CommandLine.arguments[0] : program
    let folder = URL(fileURLWithPath: executable).deletingLastPathComponent()
    return [
      folder.appendingPathComponent("swift-concept-attention_EmbeddedModels.resources/Resources").path,
      folder.deletingLastPathComponent().appendingPathComponent("share/concept-attention/models").path,
      URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Resources").path,
    ]
  }()
}

/// What comes with the package is not where the program looks for it.
public struct EmbeddedModelError: Error, Equatable, CustomStringConvertible {
  /// Of the model or its scenes.
  public let name: String
  public let searched: [String]

  public var description: String {
    "'\(name)', which comes with this program, was not found; looked for \(searched.joined(separator: ", ")). "
      + "'make install' puts it in place; models of your own need only their folder"
  }
}

extension ModelFolder {
  /// An embedded model by its short name, or a folder.
  ///
  /// - Throws: `ModelError`
  public init(nameOrFolder: String) throws {
    try self.init(try EmbeddedModel(rawValue: nameOrFolder)?.folder ?? nameOrFolder)
  }
}

/// Opens a model by the short name of an embedded one or by its folder, whatever its family.
///
/// - Throws: `ModelError` for an unknown family and whatever the family's loader throws
public func openPipeline(_ nameOrFolder: String, _ options: CheckpointOptions = .init()) throws -> any DiffusionPipeline
{
  let folder = try ModelFolder(nameOrFolder: nameOrFolder)
  return try ModelFamily(of: folder).open(folder, options)
}
