import EmbeddedModels

enum EmbeddedScenes {
  static let path = EmbeddedModel.tinyFlux.scenes
}
