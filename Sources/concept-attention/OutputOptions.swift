import ArgumentParser
import Artifacts
import ConceptAttention
import Formats
import Foundation
import Models
import NN
import Tensor

/// Where the results go: the same for `generate` and `segment`.
struct OutputOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Folder to write to; made if it does not exist. Files of the same names are replaced.", valueName: "folder"))
  var output = "concept-attention-output"

  @Option(help: "Colours of the heatmaps.")
  var colorMap: ColorMap = .viridis

  @Option(
    help: ArgumentHelp(
      "Frames per second that a video is shown at; the model's, or the GIF's, unless given.", valueName: "rate"))
  var fps: Double?

  @Flag(
    name: .customLong("mean-over-frames"),
    help: "One map per concept for all frames of a video, as the paper has them, in place of one per frame.")
  var averagesFrames = false

  @Option(
    help: ArgumentHelp(
      """
      Also write tensors to this .safetensors file: the latents of every step, the maps, the concepts' vectors, their \
      attention outputs in the chosen layers, and what --save-site names.
      """, valueName: "file"))
  var saveTensors: String?

  @Option(
    help: ArgumentHelp(
      """
      A site whose tensors go into that file too, such as double.2.image.attentionOutput; see 'sites'. May be \
      repeated.
      """, valueName: "pattern"))
  var saveSite: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      By whose names those tensors go into the file, in the layouts that belong to them: diffusers, nnsight, \
      transformer-lens. By those of 'sites' unless given.
      """, valueName: "names"))
  var saveNames: ActivationNaming?

  @Flag(help: "Print what was done as JSON on standard output instead of the paths.")
  var json = false

  @Flag(help: "Run even if memory or disk space seem too small.")
  var force = false

  @Flag(
    name: .customLong("allow-nonfinite"),
    help: "Go on when numbers become infinite or none, as broken weights make them; the run stops there unless given.")
  var allowsNonfinite = false

  func validate() throws {
    if let fps, !(0.01...50).contains(fps) { throw ValidationError("--fps \(fps): expected 0.01 to 50") }
    if output.isEmpty { throw ValidationError("--output is empty: expected the name of a folder") }
    if saveTensors?.isEmpty ?? false { throw ValidationError("--save-tensors is empty: expected the name of a file") }
    if saveNames != nil, saveSite.isEmpty { throw ValidationError("--save-names needs --save-site PATTERN") }
    if !saveSite.isEmpty, saveTensors == nil { throw ValidationError("--save-site needs --save-tensors FILE") }
  }

  /// Where each picture goes: one into the folder itself, several into folders of their own.
  func folders(seeds: [UInt64]) -> [String] {
    seeds.count == 1 ? [output] : seeds.map { "\(output)/seed-\($0)" }
  }

  /// Frames with what places the maps among them.
  ///
  /// - Parameters:
  ///   - frames: `u8`, `[frames, height, width, 3]`
  ///   - rate: of the frames; nil for the model's
  func footage(_ frames: Tensor, _ pipeline: any DiffusionPipeline, rate: Double? = nil) throws -> Footage {
    let size = FrameSize(frames: frames.shape[0], height: frames.shape[1], width: frames.shape[2])
    let mapFrames =
      averagesFrames ? [Int](repeating: 0, count: size.frames) : pipeline.gridFrames(size)
    return try Footage(
      frames, mapFrames: mapFrames, framesPerSecond: fps ?? rate ?? pipeline.settings.framesPerSecond)
  }

  /// What `--save-tensors` asks to record; nil without it.
  func recorder(_ method: any SaliencyMethod, _ request: MapRequest) throws -> TensorRecorder? {
    try saveTensors.map { try TensorRecorder(path: $0, method, request, sites: saveSite, names: saveNames) }
  }

  /// Prints the paths, or what was done as JSON.
  func report(_ runs: [RunMetadata], _ paths: [String]) throws {
    guard json else {
      for path in paths { print(path) }
      return
    }
    struct Report: Encodable {
      var runs: [RunMetadata]
      var files: [String]
    }
    let encoder = RunMetadata.encoder([.prettyPrinted])
    print(String(decoding: try encoder.encode(Report(runs: runs, files: paths)), as: UTF8.self))
  }
}

extension ColorMap: ExpressibleByArgument {}
extension ActivationNaming: ExpressibleByArgument {}

/// Collects what `--save-tensors` writes. Of several draws of noise, the activations are those of the last.
final class TensorRecorder {
  let path: String
  private let concepts: ConceptSet?
  private let cache: ActivationCache
  private let names: ActivationNaming?
  private let model: any StreamModel
  private var latents: [Tensor] = []

  init(
    path: String, _ method: any SaliencyMethod, _ request: MapRequest, sites: [String], names: ActivationNaming?
  ) throws {
    self.path = path
    (self.names, model) = (names, request.pipeline.transformer)
    let riding = method as? ConceptAttention
    concepts = riding?.concepts
    let outputs =
      riding.map { method in request.blocks.map { "\($0.layerText).\(method.stream).attentionOutput" } } ?? []
    // Both branches of guidance, each under its name; concepts ride in theirs only.
    cache = ActivationCache(
      (outputs + sites).map { SitePattern($0) }, in: PassFilter(steps: request.options.steps, branches: nil))
  }

  /// nil where no site is recorded.
  var processor: (any AttentionProcessor)? { cache.patterns.isEmpty ? nil : cache }

  func record(_ step: GenerationStep) { latents.append(step.latents) }

  /// `latents.N`, `concepts` where the method has them, `maps.…` as in `maps.safetensors` but with batch and frames, and activations under their
  /// sites' names.
  func write(_ maps: SaliencyMaps, run: RunMetadata, runID: RunID, in transaction: FileTransaction) throws {
    var tensors = names.map { cache.named($0, on: model) } ?? cache.named
    for (index, latent) in latents.enumerated() { tensors["latents.\(index)"] = latent }
    tensors["concepts"] = concepts?.embeddings
    for (name, map) in maps.named { tensors["maps.\(name)"] = map }
    let encoder = RunMetadata.encoder()
    let names = try String(decoding: encoder.encode(maps.concepts), as: UTF8.self)
    let run = try String(decoding: encoder.encode(run), as: UTF8.self)
    try SafetensorsFile.write(
      tensors.mapValues { $0.contiguous() }, to: transaction.stage(path),
      metadata: ["concepts": names, "run": run, RunID.key: runID.run])
  }
}

extension BlockPattern {
  /// With a part for the layers, so that the names of sites can follow.
  var layerText: String { text.contains(".") ? text : "\(text).*" }
}
