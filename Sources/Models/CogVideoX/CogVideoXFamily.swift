extension ModelFamily {
  /// CogVideoX 2B, 5B and 1.5, text-to-video.
  public static let cogVideoX = ModelFamily(
    name: "CogVideoX", pipelineClasses: ["CogVideoXPipeline"], textEncoders: [.t5: "text_encoder"],
    opening: { try CogVideoXPipeline(CogVideoXCheckpoint(folder: $0, $1)) })
}
