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

  @Flag(help: "Print what was done as JSON on standard output instead of the paths.")
  var json = false

  func validate() throws {
    if !saveSite.isEmpty, saveTensors == nil { throw ValidationError("--save-site needs --save-tensors FILE") }
  }

  /// Runs `body` with a writer to the folder. When it fails, a folder that was made for it and is still empty goes.
  func withWriter(_ body: (ArtifactWriter) throws -> Void) throws {
    let existed = FileManager.default.fileExists(atPath: output)
    let writer = try ArtifactWriter(folder: output, colorMap: colorMap)
    do {
      try body(writer)
    } catch {
      if !existed { rmdir(output) }
      throw error
    }
  }

  /// What `--save-tensors` asks to record; nil without it.
  func recorder(_ method: any SaliencyMethod, _ request: MapRequest) throws -> TensorRecorder? {
    try saveTensors.map { try TensorRecorder(path: $0, method, request, sites: saveSite) }
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

/// Collects what `--save-tensors` writes. Of several draws of noise, the activations are those of the last.
final class TensorRecorder {
  let path: String
  private let concepts: ConceptSet?
  private let cache: ActivationCache
  private var latents: [Tensor] = []

  /// - Throws: `FileError` when no such file can be written, rather than after the run
  init(path: String, _ method: any SaliencyMethod, _ request: MapRequest, sites: [String]) throws {
    _ = try AtomicFile(path: path)
    self.path = path
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
  func write(_ maps: SaliencyMaps, run: RunMetadata) throws {
    var tensors = cache.named
    for (index, latent) in latents.enumerated() { tensors["latents.\(index)"] = latent }
    tensors["concepts"] = concepts?.embeddings
    for (name, map) in maps.named { tensors["maps.\(name)"] = map }
    let encoder = RunMetadata.encoder()
    let names = try String(decoding: encoder.encode(maps.concepts), as: UTF8.self)
    let run = try String(decoding: encoder.encode(run), as: UTF8.self)
    try SafetensorsFile.write(
      tensors.mapValues { $0.contiguous() }, to: path, metadata: ["concepts": names, "run": run])
  }
}

extension BlockPattern {
  /// With a part for the layers, so that the names of sites can follow.
  fileprivate var layerText: String { text.contains(".") ? text : "\(text).*" }
}
