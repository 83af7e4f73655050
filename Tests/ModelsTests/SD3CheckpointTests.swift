import EmbeddedModels
import Formats
import Foundation
import Models
import NN
import Tensor
import TestSupport
import Testing

/// The tiny Stable Diffusion 3.5 put together from files as people have them.
@Suite struct SD3CheckpointTests {
  private let folder: String

  init() throws { folder = try TinySD3.pipelineFolder() }

  private func picture(_ folder: String, _ options: CheckpointOptions = .init()) throws -> Tensor {
    var request = GenerationRequest("a boat")
    (request.width, request.height, request.steps, request.maxSequenceLength) = (48, 48, 2, 8)
    return try openPipeline(folder, options).generate(request).frames
  }

  /// A folder with everything but weights.
  private func withoutWeights(_ body: (String) throws -> Void) throws {
    try withFolder { copy in
      let files = FileManager.default
      for entry in ["model_index.json", "scheduler", "tokenizer", "tokenizer_2", "tokenizer_3"] {
        try files.createSymbolicLink(atPath: "\(copy)/\(entry)", withDestinationPath: "\(folder)/\(entry)")
      }
      for part in ["transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"] {
        try files.createDirectory(atPath: "\(copy)/\(part)", withIntermediateDirectories: true)
        try files.createSymbolicLink(
          atPath: "\(copy)/\(part)/config.json", withDestinationPath: "\(folder)/\(part)/config.json")
      }
      try body(copy)
    }
  }

  private func file(_ parts: [(prefix: String, tensors: [String: Tensor])], to path: String) throws {
    var all: [String: Tensor] = [:]
    for part in parts { for (name, tensor) in part.tensors { all[part.prefix + name] = tensor } }
    try SafetensorsFile.write(all, to: path)
  }

  @Test func aWholePipelineInOneFileGivesThePictureOfTheFolder() throws {
    try withoutWeights { copy in
      let path = "\(copy)/sd3_medium_incl_clips_t5.safetensors"
      try file(
        [
          ("model.diffusion_model.", TinySD3.originalTensors("\(folder)/transformer")),
          ("first_stage_model.", TinyFlux.originalAutoencoder("\(folder)/vae")),
          ("text_encoders.clip_l.transformer.", TinyFlux.tensors("\(folder)/text_encoder")),
          ("text_encoders.clip_g.transformer.", TinyFlux.tensors("\(folder)/text_encoder_2")),
          ("text_encoders.t5xxl.transformer.", TinyFlux.tensors("\(folder)/text_encoder_3")),
          ("text_encoders.clip_l.", ["logit_scale": Tensor(1)]),
        ], to: path)
      #expect(try picture(copy, .init(files: ["transformer": path])).isIdentical(to: picture(folder)))
      let error = #expect(throws: ModelError.self) { try openPipeline(copy) }
      #expect("\(error as Any)".contains("safetensors"))
    }
  }

  @Test func filesOfTheirOwnGiveThePictureOfTheFolder() throws {
    try withoutWeights { copy in
      let transformer = "\(copy)/sd3.5_medium.safetensors", autoencoder = "\(copy)/vae.safetensors"
      let original = try TinyFlux.originalAutoencoder("\(folder)/vae")
      try file(
        [
          ("model.diffusion_model.", TinySD3.originalTensors("\(folder)/transformer")),
          ("first_stage_model.", original.mapValues { $0 * 2 }),
        ], to: transformer)
      try file([("", original)], to: autoencoder)
      var options = CheckpointOptions(files: ["transformer": transformer, "vae": autoencoder])
      for part in ["text_encoder", "text_encoder_2", "text_encoder_3"] {
        options.files[part] = "\(folder)/\(part)/model.safetensors"
      }
      let whole = try picture(copy, options)
      #expect(try whole.isIdentical(to: picture(folder)))
      options.files["text_encoder_2"] = nil
      let error = #expect(throws: ModelError.self) { try openPipeline(copy, options) }
      #expect("\(error as Any)".contains("text_encoder_2"))
      options.files["text_encoder_2"] = "\(folder)/text_encoder/model.safetensors"
      #expect(throws: (any Error).self, "CLIP-L in place of CLIP-bigG") { try openPipeline(copy, options) }
      options.files["text_encoder_2"] = "\(copy)/absent.safetensors"
      #expect(throws: (any Error).self) { try openPipeline(copy, options) }
    }
  }

  @Test func t5CanBeLeftOutByChoice() throws {
    var options = CheckpointOptions()
    options.leftOut = ["text_encoder_3"]
    try withCopy(of: folder, without: ["text_encoder_3", "tokenizer_3"]) { copy in
      let expected = try picture(copy)
      #expect(try picture(folder, options).isIdentical(to: expected))
    }
    #expect(try !picture(folder, options).isIdentical(to: picture(folder)))
    let pipeline = try openPipeline(folder, options)
    #expect(try pipeline.encodePhrases(["boat"], maxSequenceLength: 8)[0].spans.count == 1)
    options.files["text_encoder_3"] = "\(folder)/text_encoder_3/model.safetensors"
    #expect(try picture(folder, options).isIdentical(to: changed { $0.leftOut = ["text_encoder_3"] }))
  }

  private func changed(_ change: (inout CheckpointOptions) -> Void) throws -> Tensor {
    var options = CheckpointOptions()
    change(&options)
    return try picture(folder, options)
  }

  @Test func aTransformerInGGUFAndALowRankChangeWork() throws {
    try withFolder { copy in
      var sketch = GGUFSketch()
      for (name, tensor) in try TinySD3.originalTensors("\(folder)/transformer").sorted(by: { $0.key < $1.key }) {
        sketch.add(name, tensor, type: 0)
      }
      let path = "\(copy)/sd3.5_medium-F32.gguf", lora = "\(copy)/lora.safetensors"
      try Data(sketch.bytes).write(to: URL(fileURLWithPath: path))
      let plain = try picture(folder, .init(files: ["transformer": path]))
      #expect(try plain.isIdentical(to: picture(folder)))
      var generator = Generator(seed: 5)
      try SafetensorsFile.write(
        [
          "transformer.transformer_blocks.0.ff.net.2.lora_A.weight": generator.randn([4, 128]),
          "transformer.transformer_blocks.0.ff.net.2.lora_B.weight": generator.randn([32, 4]),
        ], to: lora)
      func changed(_ strength: Float) throws -> Tensor {
        try picture(folder, .init(files: ["transformer": path], loras: [LoRAFile(path: lora, strength: strength)]))
      }
      #expect(try changed(0).isIdentical(to: plain) && !changed(1).isIdentical(to: plain))
    }
  }

  @Test func t5InLlamaCppsNamesGivesThePictureOfTheFolder() throws {
    let names = [
      ("shared", "token_embd"), ("encoder.final_layer_norm", "enc.output_norm"), ("encoder.block.", "enc.blk."),
      ("layer.0.layer_norm", "attn_norm"), ("layer.1.layer_norm", "ffn_norm"), ("layer.0.SelfAttention.", "attn_"),
      ("relative_attention_bias", "rel_b"), ("layer.1.DenseReluDense.wi_0", "ffn_gate"),
      ("layer.1.DenseReluDense.wi_1", "ffn_up"), ("layer.1.DenseReluDense.wo", "ffn_down"),
    ]
    try withFolder { copy in
      var sketch = GGUFSketch()
      for (name, tensor) in try TinyFlux.tensors("\(folder)/text_encoder_3").sorted(by: { $0.key < $1.key }) {
        let renamed = names.reduce(name) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
        sketch.add(renamed, tensor, type: 0)
      }
      let path = "\(copy)/t5-encoder-F32.gguf"
      try Data(sketch.bytes).write(to: URL(fileURLWithPath: path))
      #expect(try changed { $0.files["text_encoder_3"] = path }.isIdentical(to: picture(folder)))
    }
  }

  @Test func fluxTakesTextEncodersInFilesButNotWhatItDoesNotHave() throws {
    let flux = try EmbeddedModel.tinyFlux.folder
    let family = ModelFamily.flux, folder = try ModelFolder(flux)
    let files: [TextEncoderKind: String] = [
      .clipL: "\(flux)/text_encoder/model.safetensors", .t5: "\(flux)/text_encoder_2/model.safetensors",
    ]
    let options = try family.options(.init(), textEncoderFiles: files, leavingOut: [], folder: folder)
    func states(_ pipeline: any DiffusionPipeline) throws -> Tensor {
      try pipeline.encodePhrases(["a star"], maxSequenceLength: 8)[0].states
    }
    #expect(try states(openPipeline(flux, options)).isIdentical(to: states(openPipeline(flux))))
    #expect(throws: ModelError(flux, .unsupported("FLUX.1 cannot do without T5"))) {
      try family.options(.init(), textEncoderFiles: [:], leavingOut: [.t5], folder: folder)
    }
    #expect(throws: ModelError(flux, .unsupported("FLUX.1 has no CLIP-bigG text encoder"))) {
      try family.options(.init(), textEncoderFiles: [.clipG: "g"], leavingOut: [], folder: folder)
    }
  }
}
