import EmbeddedModels
import Formats
import Foundation
import Models
import Tensor
import Testing

/// Every kind of wrong input ends with one message and exit code 2, before anything is computed or written.
@Suite struct WrongInputTests {
  @Test func wrongUsage() throws {
    try withFolder { folder in
      expectRefusal(try Command.run("generate", in: folder), "no prompt")
      expectRefusal(try Command.run("generate", "a", "--prompt", "b", in: folder), "given twice")
      expectRefusal(try Command.run("generate", "a star", "--space", "outer", in: folder), "outer", "output")
      expectRefusal(try Command.run("generate", "a star", "--seed=-1", in: folder), "-1", "seed")
      expectRefusal(try Command.run("paint", in: folder), "paint")
      expectRefusal(try Command.run("segment", in: folder), "picture")
      expectRefusal(try Command.run("generate", "a star", "--guidance", "nan", in: folder), "guidance", "finite")
      expectRefusal(try Command.run("generate", "a star", "--images", "0", in: folder), "--images 0")
      expectRefusal(try Command.run("generate", "a star", "--threads", "0", in: folder), "--threads 0")
      expectRefusal(try Command.run("generate", "a star", "--save-site", "double", in: folder), "--save-tensors")
      #expect(try contents(folder).isEmpty)
    }
  }

  @Test func modelsThatAreNotThere() throws {
    try withFolder { folder in
      expectRefusal(try Command.run("info", "--model", "nowhere", in: folder), "nowhere", "no such model folder")
      expectRefusal(try Command.run("generate", "a star", "--model", folder, in: folder), "model_index.json", "missing")
      let index = URL(fileURLWithPath: "\(folder)/model_index.json")
      try Data(#"{"_class_name": "WuerstchenPipeline"}"#.utf8).write(to: index)
      expectRefusal(
        try Command.run("generate", "a star", "--model", folder, in: folder), "WuerstchenPipeline", "FluxPipeline")
      try Data("{".utf8).write(to: index)
      expectRefusal(try Command.run("generate", "a star", "--model", folder, in: folder), "model_index.json")
      for option in ["--transformer", "--autoencoder", "--lora"] {
        let outcome = try Command.run("generate", "a star", option, "gone.safetensors", in: folder)
        expectRefusal(outcome, "gone.safetensors", "No such file")
      }
      try Data().write(to: URL(fileURLWithPath: "\(folder)/l.safetensors"))
      for strength in ["strong", "nan"] {
        let outcome = try Command.run("generate", "a star", "--lora", "l.safetensors:\(strength)", in: folder)
        expectRefusal(outcome, "l.safetensors:\(strength)", "--lora")
      }
    }
  }

  @Test func modelsThatAreBroken() throws {
    try withFolder { folder in
      let model = "\(folder)/model", weights = "\(model)/transformer/diffusion_pytorch_model.safetensors"
      func refusal(_ words: String..., at location: SourceLocation = #_sourceLocation) throws {
        let outcome = try Command.run("generate", "a star", "--model", model, in: folder)
        for word in words { expectRefusal(outcome, word, at: location) }
      }
      try FileManager.default.copyItem(atPath: try EmbeddedModel.tinyFlux.folder, toPath: model)
      let file = try SafetensorsFile(path: weights)
      var tensors: [String: Tensor] = [:]
      for name in file.names { tensors[name] = try file.tensor(name) }

      var wrong = tensors
      wrong["proj_out.bias"] = Tensor(zeros: [3])
      wrong["proj_out.weight"] = nil
      wrong["spare"] = Tensor(zeros: [1])
      try SafetensorsFile.write(wrong, to: weights)
      try refusal("'proj_out.bias': expected shape [64], found [3]", weights, "'proj_out.weight' is missing", "spare")

      try SafetensorsFile.write(tensors, to: weights)
      let whole = try Data(contentsOf: URL(fileURLWithPath: weights))
      try whole.prefix(whole.count - 1).write(to: URL(fileURLWithPath: weights))
      try refusal("diffusion_pytorch_model.safetensors")
      try Data("not a safetensors file".utf8).write(to: URL(fileURLWithPath: weights))
      try refusal("diffusion_pytorch_model.safetensors")
      try FileManager.default.removeItem(atPath: weights)
      try refusal("transformer", "safetensors", "missing")

      let names = tensors.keys.sorted(), half = names.count / 2
      var index = ["metadata": ["total_size": "0"], "weight_map": [:]]
      for (number, part) in [names[..<half], names[half...]].enumerated() {
        let shard = "shard-\(number).safetensors", chosen = tensors.filter { part.contains($0.key) }
        try SafetensorsFile.write(chosen, to: "\(model)/transformer/\(shard)")
        for name in part { index["weight_map"]?[name] = shard }
      }
      try JSONSerialization.data(withJSONObject: index).write(to: URL(fileURLWithPath: "\(weights).index.json"))
      #expect(try Command.run("info", "--model", model, in: folder).status == 0)
      try Data(repeating: 7, count: 4096).write(to: URL(fileURLWithPath: "\(model)/transformer/shard-1.safetensors"))
      try refusal("shard-1.safetensors")
      try FileManager.default.removeItem(atPath: "\(model)/transformer/shard-1.safetensors")
      try refusal("shard-1.safetensors")

      let single = "\(folder)/single.safetensors"
      try SafetensorsFile.write(tensors.filter { $0.key != "proj_out.bias" }, to: single)
      expectRefusal(
        try Command.run("generate", "a star", "--transformer", single, in: folder), "'proj_out.bias' is missing",
        "the file's shapes say attention_head_dim 32")

      let config = "\(model)/vae/config.json"
      try FileManager.default.removeItem(atPath: config)
      try whole.write(to: URL(fileURLWithPath: weights))
      try refusal("vae", "config.json", "missing")
    }
  }

  @Test func requestsThatCannotBeMet() throws {
    try withFolder { folder in
      func refusal(_ arguments: String..., expecting words: String, at location: SourceLocation = #_sourceLocation)
        throws
      {
        let outcome = try Command.start(["generate", "a red star"] + arguments, in: folder).finish()
        expectRefusal(outcome, words, at: location)
      }
      try refusal("--width", "100", expecting: "size 100 × 128: expected multiples of 8")
      try refusal("--height", "0", expecting: "size 128 × 0")
      try refusal("--steps", "0", expecting: "0 steps")
      try refusal("--max-sequence-length", "0", expecting: "sequence length 0")
      try refusal("--layers", "0,9", expecting: "there is no layer 9, this model has layers 0 to 5")
      try refusal("--layers", "2-1", expecting: "--layers '2-1'")
      try refusal("--preset", "paper", expecting: "there is no layer 14")
      try refusal("--timesteps", "7", "--steps", "4", expecting: "there is no step 7, this run has steps 0 to 3")
      try refusal("--negative-prompt", "rain", "--true-cfg", "1", expecting: "would not be used")
      try refusal(
        "--save-tensors", "t.safetensors", "--save-site", "triple.0", expecting: "nothing matches 'triple.0'")
      #expect(try contents(folder).isEmpty)
    }
  }

  @Test func conceptsThatCannotBeUsed() throws {
    try withFolder { folder in
      expectRefusal(try Command.run("generate", "", in: folder), "no concepts", "--concepts")
      expectRefusal(try Command.run("generate", "a the of", in: folder), "no concepts")
      expectRefusal(try Command.run("generate", "a", "--concepts", " , ", in: folder), "names no concept")
      expectRefusal(try Command.run("generate", "a", "--concepts", "sky,sky", in: folder), "'sky' twice")
      expectRefusal(try Command.run("generate", "a", "--concepts", "sky,星", in: folder), "'星'")
      let same = try Command.run("generate", "a", "--concepts", "a star,a  star", "--steps", "1", in: folder)
      #expect(same.status == 0 && same.errors.contains("warning: 'a star' and 'a  star' are the same"))
    }
  }

  @Test func picturesThatCannotBeRead() throws {
    try withFolder { folder in
      expectRefusal(try Command.run("segment", "gone.png", "--concepts", "sky", in: folder), "gone.png", "No such file")
      try Data("not a picture".utf8).write(to: URL(fileURLWithPath: "\(folder)/bad.png"))
      expectRefusal(try Command.run("segment", "bad.png", "--concepts", "sky", in: folder), "bad.png")
      let picture = Tensor(scalars: [UInt8](repeating: 9, count: 64 * 64 * 3), shape: [64, 64, 3])
      try PNG.write(picture, to: "\(folder)/good.png")
      expectRefusal(try Command.run("segment", "good.png", in: folder), "no concepts")
      func refusal(_ arguments: String..., expecting words: String, at location: SourceLocation = #_sourceLocation)
        throws
      {
        let outcome = try Command.start(["segment", "good.png", "--concepts", "sky"] + arguments, in: folder).finish()
        expectRefusal(outcome, words, at: location)
      }
      try refusal("--noise", "0", expecting: "noise level 0")
      try refusal("--noise", "1.5", expecting: "noise level 1.5")
      try refusal("--samples", "0", expecting: "0 samples")
      try refusal("--noise", "1", "--timesteps", "0", expecting: "both set the noise level")
      try refusal("--steps", "4", expecting: "--steps needs --timesteps")
      try refusal("--steps", "4", "--timesteps", "4", expecting: "no step 4")
      #expect(try Set(contents(folder).keys) == ["bad.png", "good.png"])
    }
  }

  @Test func outputThatCannotBeWritten() throws {
    try withFolder { folder in
      try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(folder)/file"))
      for path in ["file", "file/below"] {
        expectRefusal(try Command.run("generate", "a star", "--output", path, in: folder), "output folder", path)
      }
      let tensors = ["--save-tensors", "nowhere/t.safetensors", "--output", "out"]
      let outcome = try Command.start(["generate", "a star", "--steps", "1"] + tensors, in: folder).finish()
      expectRefusal(outcome, "nowhere/t.safetensors")
      #expect(try contents(folder) == ["file": Data("mine".utf8)])
    }
  }
}
