import Models
import NN
import Tensor
import TestSupport
import Testing

/// Gradients through one block, with respect to both streams and the conditioning.
func blockGradients(_ golden: GoldenCase) throws -> [String: Tensor] {
  let of = golden.other(try #require(golden.config.of.string))
  let model = try DifferentiableBlock(of: GoldenBlock(of)), directions = try golden.inputs()
  var scalar: Scalar?
  for stream in [StreamID.image, .text] {
    guard let direction = directions["direction.\(stream == .image ? "hidden" : "encoder")"] else { continue }
    let part = Scalar.site("*.*.\(stream.name).residualOutput", .dot(direction))
    scalar = scalar.map { $0 + part } ?? part
  }
  let gradient = try model.gradient(
    of: try #require(scalar), at: [.latents, .promptEmbeddings, .pooled], of.inputs(),
    pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 1)))
  try expectValue(gradient, golden)
  return ["hidden": gradient.latents, "encoder": gradient.promptEmbeddings, "temb": gradient.pooled].compactMapValues {
    $0
  }
}

/// Gradients through a whole transformer, with respect to its inputs and to both residual streams after every block.
func transformerGradients(_ golden: GoldenCase) throws -> [String: Tensor] {
  let of = golden.other(try #require(golden.config.of.string))
  switch try of.kind(ModelsKind.self) {
  case .fluxTransformer: return try gradients(fluxPass(of), golden)
  case .sd3Transformer: return try gradients(sd3Pass(of), golden)
  case .cogVideoXTransformer: return try gradients(cogVideoXPass(of), golden)
  default:
    Issue.record("\(golden.name): no transformer in \(of.name)")
    return [:]
  }
}

private func gradients<Model: DifferentiableModel>(
  _ pass: (Model, Model.Input), _ golden: GoldenCase
) throws -> [String: Tensor] {
  let (model, input) = pass, direction = try #require(golden.inputs()["direction.sample"])
  let running = Set(model.running(input).map(\.1))
  var places = model.sites.filter { $0.point == .residualOutput && running.contains($0.block) }
    .map(GradientPlace.site)
  places += [.latents, .promptEmbeddings]
  if model.leaves(of: input).pooled != nil { places.append(.pooled) }
  let gradient = try model.gradient(
    of: .output(.dot(direction)), at: places, input, pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 1)))
  try expectValue(gradient, golden)
  var outputs = ["hidden": gradient.latents, "encoder": gradient.promptEmbeddings, "pooled": gradient.pooled]
    .compactMapValues { $0 }
  for (site, tensor) in gradient.sites {
    let family = site.block.family == "joint" ? "block" : site.block.family
    outputs["\(family).\(site.block.layer).\(site.stream == .image ? "hidden" : "encoder")"] = tensor
  }
  return outputs
}

private func expectValue(_ gradient: PassGradient, _ golden: GoldenCase) throws {
  let expected = try #require(golden.config.value.double)
  #expect(abs(Double(gradient.value) - expected) < 1e-3 * max(1, abs(expected)), "\(golden.name)")
}

/// A model of one block whose inputs are its streams.
private struct DifferentiableBlock: DifferentiableModel {
  let golden: GoldenBlock

  init(of golden: GoldenBlock) { self.golden = golden }

  var blocks: [BlockID] { [golden.id] }
  var textFamily: String { golden.id.family }
  func streams(in block: BlockID) -> [StreamID] { [.image, .text] }
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point] { [.residualOutput] }

  func leaves(of input: [String: Tensor]) -> InputTensors {
    let empty = Tensor(zeros: [0])
    return InputTensors(
      latents: input["hidden"] ?? empty, text: input["encoder"] ?? empty, pooled: input["temb"] ?? empty)
  }
  func running(_ input: [String: Tensor]) -> [(any JointBlock, BlockID)] { [(golden.block, golden.id)] }
  func streams(_ input: [String: Tensor], _ hooks: HookRun?) -> ([Stream], readOut: (Tensor) -> Tensor) {
    ((try? golden.streams(input)) ?? [], { $0 })
  }
  func traceStreams(_ input: [String: Tensor], _ leaves: InputVariables) -> [TracedEntry] {
    guard let conditioning = leaves.pooled else { return [] }
    return golden.order.map {
      TracedEntry($0, tokens: $0 == .image ? leaves.latents : leaves.text, conditioning: conditioning)
    }
  }
  func traceConditioning(of rider: Rider, _ native: Variable) -> Variable? { nil }
  func traceReadOut(_ tokens: Variable, _ conditioning: Variable, _ input: [String: Tensor]) -> Variable { tokens }
}
