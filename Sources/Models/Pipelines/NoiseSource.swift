import Tensor

/// Draws the noise of a generation: one generator for all pictures, or one for each. Noise is drawn as diffusers draws it,
/// latents first, then packed.
struct NoiseSource {
  private var generators: [(generator: Generator, batch: Int)]
  /// Of one picture or video.
  private let shape: [Int]
  private let type: DType
  private let pack: (Tensor) -> Tensor
  /// Times that noise was drawn.
  private(set) var draws = 0

  /// - Parameters:
  ///   - shape: of the latents of one picture or video
  ///   - pack: from latents to what the transformer takes
  init(_ plan: GenerationPlan, _ shape: [Int], _ pack: @escaping (Tensor) -> Tensor) throws {
    let batch = plan.prompts.count
    switch plan.seeds {
    case .shared(let seed): generators = [(Generator(seed: seed), batch)]
    case .each(let seeds):
      guard seeds.count == batch else { throw RequestError.badSeeds(found: seeds.count, expected: batch) }
      generators = seeds.map { (Generator(seed: $0), 1) }
    }
    self.shape = shape
    type = plan.noiseType
    self.pack = pack
  }

  /// Noise for all pictures, packed.
  mutating func draw() -> Tensor {
    draws += 1
    return concatenated(
      generators.indices.map { index in
        let shape = [generators[index].batch] + shape.dropFirst()
        return pack(generators[index].generator.randn(shape, dtype: type).converted(to: .f32))
      })
  }

  /// A draw from a distribution for every picture, packed.
  ///
  /// - Parameter finish: what happens to a draw before it is packed
  mutating func samples(_ distribution: DiagonalGaussian, _ finish: (Tensor) -> Tensor) -> Tensor {
    concatenated(
      generators.indices.flatMap { index in
        (0..<generators[index].batch).map { _ in pack(finish(distribution.sample(&generators[index].generator))) }
      })
  }

  /// A draw from a distribution for every generator, packed.
  ///
  /// - Parameter finish: what happens to a draw before it is packed
  mutating func sample(_ distribution: DiagonalGaussian, _ finish: (Tensor) -> Tensor) -> Tensor {
    concatenated(generators.indices.map { pack(finish(distribution.sample(&generators[$0].generator))) })
  }
}
