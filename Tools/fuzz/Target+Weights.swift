// What the names and shapes of other projects' files tell: original names, LoRA files, sparse autoencoders.

import ConceptAttention
import Formats
import Models
import NN
import Tensor

extension Target {
  static func weights(_ work: WorkFolder) throws -> [Target] {
    let layer = ["transformer_blocks.0.attn.to_q.weight", "transformer_blocks.0.attn.to_k.weight", "a.weight"]
    let base = DictionaryWeights(Dictionary(uniqueKeysWithValues: layer.map { ($0, Tensor(zeros: [2, 2])) }))
    let lora = try work.place("lora", "lora.safetensors"), autoencoder = try work.place("sae", "cfg.json")
    let sizes = ["W_enc": [4, 8], "b_enc": [8], "W_dec": [8, 4], "b_dec": [4], "threshold": [8]]
    try SafetensorsFile.write(sizes.mapValues { Tensor(ones: $0) }, to: "\(autoencoder.folder)/sae_weights.safetensors")
    return [
      Target(name: "lora") { file in
        try lora.put(file)
        for names in [FluxOriginalNames(dim: 2) as any OriginalNames, SD3OriginalNames(dim: 2, layers: 1)] {
          let weights = try LoRAWeights(base, [LoRAFile(path: lora.path, strength: 0.5)], originals: names)
          for name in layer { bytesRead += try weights.parameter(name).shape.count }
        }
      },
      Target(name: "sae-settings") { file in
        try autoencoder.put(file)
        let opened = try SparseAutoencoder(folder: autoencoder.folder)
        bytesRead += opened.encoded(Tensor(zeros: [1, opened.dim])).count
      },
      Target(name: "original-names") { file in
        let source = NamedShapes(file)
        _ = AutoencoderOriginalNames.renamed(source).names
        let flux = try FluxOriginalNames.renamed(source, path: "fuzz")
        if flux.shape(of: "x_embedder.weight") != nil {
          for axes in [nil, [2, 2, 4]] {
            let config = try FluxConfig(inferredFrom: flux, axes: axes, path: "fuzz")
            _ = try load(from: flux) { FluxTransformer(config, $0) }
          }
        }
        let sd3 = try SD3OriginalNames.renamed(source, path: "fuzz")
        let config = try SD3Config(inferredFrom: sd3, path: "fuzz")
        _ = try load(from: sd3) { SD3Transformer(config, $0) }
      },
    ]
  }
}

/// Weights of which there are names and shapes alone: a line each, such as `img_in.weight 8 4`.
private struct NamedShapes: WeightSource {
  let shapes: [String: [Int]]
  let names: [String]

  init(_ file: MappedFile) {
    let lines = file.withBytes { String(decoding: $0, as: UTF8.self) }.split(separator: "\n")
    var shapes: [String: [Int]] = [:]
    for line in lines {
      let words = line.split(separator: " ", omittingEmptySubsequences: false)
      guard let name = words.first, !name.isEmpty else { continue }
      // As the readers have it: no more axes, and a number of elements that there is.
      let shape = words.dropFirst().prefix(8).compactMap { Int($0) }.filter { (0...1 << 40).contains($0) }
      var product = 1.0
      for extent in shape { product *= Double(max(extent, 1)) }
      if product < 0x1p58 { shapes[String(name)] = shape }
    }
    self.shapes = shapes
    names = shapes.keys.sorted()
  }

  func shape(of name: String) -> [Int]? { shapes[name] }
  func parameter(_ name: String) throws -> Parameter { throw WeightProblem.missing(name) }
}
