import NN

/// A model family: how its checkpoints are recognised and opened. A further family is one such value in its own folder, and
/// one line in `all`.
public struct ModelFamily: Sendable {
  /// As users know it.
  public let name: String
  /// `_class_name` in `model_index.json`.
  public let pipelineClasses: [String]
  /// The component that holds each of the family's text encoders.
  public let textEncoders: [TextEncoderKind: String]
  /// Text encoders that the family can do without.
  public let optionalTextEncoders: Set<TextEncoderKind>
  /// Opens a folder with parts of it replaced. Weights are mapped, not read.
  let opening: @Sendable (ModelFolder, CheckpointOptions) throws -> any DiffusionPipeline

  public init(
    name: String, pipelineClasses: [String], textEncoders: [TextEncoderKind: String],
    optionalTextEncoders: Set<TextEncoderKind> = [],
    opening: @escaping @Sendable (ModelFolder, CheckpointOptions) throws -> any DiffusionPipeline
  ) {
    self.name = name
    self.pipelineClasses = pipelineClasses
    self.textEncoders = textEncoders
    self.optionalTextEncoders = optionalTextEncoders
    self.opening = opening
  }

  /// Every family there is.
  public static let all: [ModelFamily] = [.flux, .stableDiffusion3, .cogVideoX]

  /// The family that a folder is of.
  ///
  /// - Throws: `ModelError` when there is none
  public init(of folder: ModelFolder) throws {
    guard let family = Self.all.first(where: { $0.pipelineClasses.contains(folder.pipelineClass) }) else {
      throw ModelError(
        folder.path, .unknownFamily(found: folder.pipelineClass, known: Self.all.flatMap(\.pipelineClasses)))
    }
    self = family
  }

  /// The options with files for text encoders, and text encoders left out, entered under this family's components.
  ///
  /// - Throws: `ModelError` for an encoder that the family does not have or cannot do without
  public func options(
    _ options: CheckpointOptions, textEncoderFiles files: [TextEncoderKind: String],
    leavingOut leftOut: Set<TextEncoderKind>, folder: ModelFolder
  ) throws -> CheckpointOptions {
    var options = options
    for (kind, file) in files {
      guard let component = textEncoders[kind] else {
        throw ModelError(folder.path, .unsupported("\(name) has no \(kind.rawValue) text encoder"))
      }
      options.files[component] = file
    }
    for kind in leftOut {
      guard let component = textEncoders[kind], optionalTextEncoders.contains(kind) else {
        throw ModelError(folder.path, .unsupported("\(name) cannot do without \(kind.rawValue)"))
      }
      options.leftOut.insert(component)
    }
    return options
  }

  /// - Throws: whatever the family's loader throws
  public func open(_ folder: ModelFolder, _ options: CheckpointOptions = .init()) throws -> any DiffusionPipeline {
    try opening(folder, options)
  }
}
