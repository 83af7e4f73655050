import Foundation
import Models

/// The models that come with the package.
public enum EmbeddedModel: String, Sendable, CaseIterable {
  /// A small FLUX trained on drawn scenes; see its `MODEL_CARD.md`.
  case tinyFlux = "tiny-flux"

  /// Its folder in the diffusers layout.
  public var folder: String { Self.resource(rawValue) }

  /// Held-out scenes with masks, for measuring concept maps.
  public var scenes: String { Self.resource("\(rawValue)-scenes") }

  private static func resource(_ name: String) -> String {
    Bundle.module.bundleURL.appendingPathComponent("Resources/\(name)").path
  }
}

extension ModelFolder {
  /// An embedded model by its short name, or a folder.
  ///
  /// - Throws: `ModelError`
  public init(nameOrFolder: String) throws {
    try self.init(EmbeddedModel(rawValue: nameOrFolder)?.folder ?? nameOrFolder)
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
