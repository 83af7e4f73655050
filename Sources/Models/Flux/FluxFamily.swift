extension ModelFamily {
  /// FLUX.1: schnell, dev, and models of their shape.
  public static let flux = ModelFamily(
    name: "FLUX.1", pipelineClasses: ["FluxPipeline"],
    textEncoders: [.clipL: "text_encoder", .t5: "text_encoder_2"],
    opening: { try FluxPipeline(FluxCheckpoint(folder: $0, $1)) })
}
