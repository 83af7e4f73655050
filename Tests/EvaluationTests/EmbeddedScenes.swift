import EmbeddedModels

enum EmbeddedScenes {
  static let path = (try? EmbeddedModel.tinyFlux.scenes) ?? ""
}
