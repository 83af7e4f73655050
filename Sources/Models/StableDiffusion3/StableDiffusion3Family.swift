extension ModelFamily {
  /// Stable Diffusion 3 and 3.5.
  public static let stableDiffusion3 = ModelFamily(
    name: "Stable Diffusion 3", pipelineClasses: ["StableDiffusion3Pipeline"],
    textEncoders: [.clipL: "text_encoder", .clipG: "text_encoder_2", .t5: "text_encoder_3"],
    optionalTextEncoders: [.t5], opening: { try StableDiffusion3Pipeline(SD3Checkpoint(folder: $0, $1)) })
}
