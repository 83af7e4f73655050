// The readers of a model's other files: tokenizers and configurations.

import Formats
import Models
import NN
import Tensor
import Tokenizers

extension Target {
  /// One file of a tokenizer folder is changed, the others stay as they are.
  static func tokenizers(_ corpus: String) throws -> [Target] {
    func seed(_ target: String, _ name: String) throws -> [UInt8] {
      try files("\(corpus)/\(target)").first { $0.name == name }?.bytes ?? []
    }
    let clip = [
      "vocab.json": try seed("vocab", "clip.json"), "merges.txt": try seed("merges", "clip.txt"),
      "special_tokens_map.json": try seed("special-tokens", "clip.json"),
    ]
    let t5 = ["spiece.model": try seed("spiece", "t5.model")]
    func target(_ name: String, _ file: String, _ others: [String: [UInt8]]) -> Target {
      Target(name: name) { input in
        try use(loadTokenizer(files: others.merging([file: input.withBytes { [UInt8]($0) }]) { $1 }))
      }
    }
    return [
      target("tokenizer-json", "tokenizer.json", [:]), target("vocab", "vocab.json", clip),
      target("merges", "merges.txt", clip), target("special-tokens", "special_tokens_map.json", clip),
      target("added-tokens", "added_tokens.json", clip), target("spiece", "spiece.model", [:]),
      // Whose it is, CLIP's or T5's, it says itself.
      Target(name: "tokenizer-config") { input in
        let own = ["tokenizer_config.json": input.withBytes { [UInt8]($0) }]
        do { try use(loadTokenizer(files: own.merging(clip) { $1 })) } catch {
          try use(loadTokenizer(files: own.merging(t5) { $1 }))
        }
      },
    ]
  }

  private static func use(_ tokenizer: any Tokenizer) throws {
    for text in ["abc de", " a\u{301} ﬁ <extra_id_0> two words\n", ""] {
      let ids = try tokenizer.encode(text, maxLength: 16).ids
      _ = tokenizer.decode(ids)
    }
  }

  /// Each configuration, and the model that it describes built from nothing: that must cost nothing either.
  static var configurations: [Target] {
    let nothing = DictionaryWeights([:])
    return [
      Target(name: "flux-config") { file in
        let config = try decodeJSON(FluxConfig.self, file)
        _ = try load(from: nothing) { FluxTransformer(config, $0) }
      },
      Target(name: "sd3-config") { file in
        let config = try decodeJSON(SD3Config.self, file)
        _ = try load(from: nothing) { SD3Transformer(config, $0) }
      },
      Target(name: "clip-config") { file in
        let config = try decodeJSON(CLIPTextConfig.self, file)
        _ = try load(from: nothing) { CLIPTextEncoder(config, $0) }
      },
      Target(name: "t5-config") { file in
        let config = try decodeJSON(T5Config.self, file)
        _ = try load(from: nothing) { T5Encoder(config, $0) }
      },
      Target(name: "autoencoder-config") { file in
        let config = try decodeJSON(AutoencoderKLConfig.self, file)
        _ = try load(from: nothing) { AutoencoderKL(config, $0) }
      },
      Target(name: "scheduler-config") { file in
        let scheduler = try decodeJSON(FlowMatchEulerScheduler.self, file)
        for tokens in [1, 4096, 1 << 24] {
          let shift = scheduler.dynamicShift(imageTokens: tokens)
          _ = try scheduler.schedule(steps: 4, dynamicShift: shift)
          _ = try scheduler.schedule(sigmas: FlowMatchEulerScheduler.evenLevels(steps: 4), dynamicShift: shift)
        }
      },
      Target(name: "cogvideox-config") { file in
        let config = try decodeJSON(CogVideoXConfig.self, file)
        _ = try load(from: nothing) { CogVideoXTransformer(config, $0) }
      },
      Target(name: "video-autoencoder-config") { file in
        let config = try decodeJSON(AutoencoderKLCogVideoXConfig.self, file)
        _ = try load(from: nothing) { AutoencoderKLCogVideoX(config, $0) }
      },
      Target(name: "cogvideox-scheduler") { file in
        let scheduler = try decodeJSON(CogVideoXScheduler.self, file), sampler = try scheduler.sampler(steps: 4)
        _ = sampler.level(sigma: 0.5, step: 0, of: 4)
        _ = sampler.levels
      },
      Target(name: "defaults") { file in _ = try decodeJSON(PipelineDefaults.self, file) },
      Target(name: "model-index") { file in _ = try decodeJSON(ModelFolder.Index.self, file) },
    ]
  }
}
