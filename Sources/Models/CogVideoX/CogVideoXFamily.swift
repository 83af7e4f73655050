extension ModelFamily {
  /// CogVideoX 2B, 5B and 1.5, from text or from text and a picture, as the transformer's configuration says.
  public static let cogVideoX = ModelFamily(
    name: "CogVideoX", pipelineClasses: ["CogVideoXPipeline", "CogVideoXImageToVideoPipeline"],
    textEncoders: [.t5: "text_encoder"],
    opening: { try CogVideoXPipeline(CogVideoXCheckpoint(folder: $0, $1)) })
}
