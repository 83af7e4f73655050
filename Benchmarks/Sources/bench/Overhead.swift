import ArgumentParser
import ConceptAttention
import Formats
import Foundation
import Harness
import Models
import NN
import Tensor

/// `bench overhead`: a transformer step with and without concept maps, in turns.
struct Overhead: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures what ConceptAttention adds to a transformer step.",
    discussion: """
      The model has the real one's width, bf16 weights made up, and few blocks: for FLUX one double and two single ones, \
      which is the real one's proportion (19 and 38). Concepts ride through every double or joint block.
      """)

  enum Family: String, ExpressibleByArgument, CaseIterable { case flux, sd3, cogvideox }

  @Option(help: "flux (dim 3072, 24 heads), sd3 (dim 2432, 38 heads, as in Large) or cogvideox (dim 3072, 48 heads).")
  var family = Family.flux

  @Option(help: "Image tokens along each side of the picture.")
  var side = 32

  @Option(help: "Frames of tokens, for cogvideox.")
  var frames = 1

  @Option(help: "Text tokens.")
  var text = 256

  @Option(help: "Concepts.")
  var concepts = 5

  @Option(help: "Pairs of steps, one with and one without.")
  var rounds = 11

  @Option(help: "Threads; the CPUs of this process unless given.")
  var threads: Int?

  func validate() throws {
    for (name, value) in [
      ("--side", side), ("--frames", frames), ("--text", text), ("--concepts", concepts), ("--rounds", rounds),
    ] where value < 1 { throw ValidationError("\(name) \(value): expected at least 1") }
  }

  func run() throws {
    if let threads { Threads.count = threads }
    let step: (Bool) -> Tensor =
      switch family {
      case .flux: try flux()
      case .sd3: try stableDiffusion3()
      case .cogvideox: try cogVideoX()
      }
    let plain = step(false), hooked = step(true)
    guard plain.isIdentical(to: hooked) else { throw BenchmarkError("the result with concepts has other bits") }
    var times: [(plain: Double, hooked: Double)] = []
    for round in 0..<rounds {
      // The order changes from pair to pair, so that a drift of the machine favours neither.
      let first = seconds { _ = step(round % 2 == 1) }, second = seconds { _ = step(round % 2 == 0) }
      times.append(round % 2 == 0 ? (first, second) : (second, first))
    }
    let ratios = times.map { ($0.hooked / $0.plain - 1) * 100 }.sorted()
    let least = (times.map(\.hooked).min() ?? 0) / (times.map(\.plain).min() ?? 1) * 100 - 100
    let median = times.map(\.plain).sorted()[rounds / 2] * 1e3
    print(
      """
      \(family.rawValue), \(frames * side * side)+\(text) tokens, \(concepts) concepts, \(Threads.count) threads: \
      step \(median.formatted(1)) ms, with concepts \(signed(ratios[rounds / 2])) % \
      (median of \(rounds) pairs; quartiles \(signed(ratios[rounds / 4])) and \(signed(ratios[rounds * 3 / 4])); \
      least times \(signed(least)))
      """)
  }

  private func signed(_ value: Double) -> String { String(format: "%+.2f", value) }

  private func seconds(_ body: () -> Void) -> Double {
    let start = ContinuousClock.now
    body()
    let parts = (ContinuousClock.now - start).components
    return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
  }

  private func hooks(on model: any StreamModel, _ embeddingDim: Int) throws -> HookRun {
    let names = (0..<concepts).map { "concept \($0)" }
    let embeddings = Operand([1, concepts, embeddingDim], seed: 5).tensor
    return try HookRun(
      [ConceptAttention(ConceptSet(names, embeddings: embeddings), options: ConceptAttentionOptions())], on: model,
      pass: Pass(steps: 1, grid: TokenGrid(frames: frames, height: side, width: side)))
  }

  private func flux() throws -> (Bool) -> Tensor {
    let config = FluxConfig(numLayers: 1, numSingleLayers: 2, guidanceEmbeds: false)
    let model = try load(from: FormulaWeights(dtype: .bf16)) { FluxTransformer(config, $0) }
    let input = FluxTransformer.Input(
      image: Operand([1, side * side, config.inChannels], seed: 1).tensor,
      text: Operand([1, text, config.jointAttentionDim], seed: 2).tensor,
      pooled: Operand([1, config.pooledProjectionDim], seed: 3).tensor, timestep: [500],
      positions: model.positions(grid: TokenGrid(height: side, width: side)))
    let hooks = try hooks(on: model, config.jointAttentionDim)
    return { model(input, hooks: $0 ? hooks : nil) }
  }

  private func stableDiffusion3() throws -> (Bool) -> Tensor {
    let config = SD3Config(numLayers: 2, numAttentionHeads: 38)
    let model = try load(from: FormulaWeights(dtype: .bf16)) { SD3Transformer(config, $0) }
    let input = SD3Transformer.Input(
      latents: Operand([1, config.inChannels, 2 * side, 2 * side], seed: 1).tensor,
      text: Operand([1, text, config.jointAttentionDim], seed: 2).tensor,
      pooled: Operand([1, config.pooledProjectionDim], seed: 3).tensor, timestep: [500])
    let hooks = try hooks(on: model, config.jointAttentionDim)
    return { model(input, hooks: $0 ? hooks : nil) }
  }
  private func cogVideoX() throws -> (Bool) -> Tensor {
    let json = """
      {"num_attention_heads": 48, "num_layers": 1, "use_rotary_positional_embeddings": true,
       "max_text_seq_length": \(text)}
      """
    let config = try JSONDecoder().decode(CogVideoXConfig.self, from: Data(json.utf8))
    let model = try load(from: FormulaWeights(dtype: .bf16)) { CogVideoXTransformer(config, $0) }
    let input = CogVideoXTransformer.Input(
      latents: Operand([1, frames, config.inChannels, 2 * side, 2 * side], seed: 1).tensor,
      text: Operand([1, text, config.textEmbedDim], seed: 2).tensor, timestep: [500],
      positions: model.positions(frames: frames, height: 2 * side, width: 2 * side))
    let hooks = try hooks(on: model, config.textEmbedDim)
    return { model(input, hooks: $0 ? hooks : nil) }
  }
}
