import Artifacts
import ConceptAttention
import Foundation
import Models
import NN
import Tensor

/// What `generate` and `segment` have in common: a method for the concepts, a run that it looks at, and a folder with what
/// it found.
struct MapRun {
  let model: ModelOptions
  let concepts: ConceptOptions
  let output: OutputOptions
  let names: [String]
  private var clock = CommandClock()
  let pipeline: any DiffusionPipeline

  /// Opens the model.
  init(_ model: ModelOptions, _ concepts: ConceptOptions, _ output: OutputOptions, names: [String]) throws {
    self.model = model
    self.concepts = concepts
    self.output = output
    self.names = names
    pipeline = try model.open()
    clock.end(\.opening)
  }

  /// What a run gives.
  struct Outcome {
    /// Pictures to write, with the number that tells them apart; each `[height, width, 3]`, `u8`.
    var images: [(image: Tensor, seed: UInt64)]
    var seconds: PhaseSeconds
  }

  /// - Parameters:
  ///   - request: of the maps
  ///   - progress: what is counted
  ///   - title: heads the report
  ///   - metadata: of the run, without what this adds
  ///   - body: runs the model with the processors, and calls the function after every step
  mutating func run(
    _ request: MapRequest, progress label: String, title: String, metadata: RunMetadata,
    _ body: ([any AttentionProcessor], @escaping (GenerationStep) throws -> Void) throws -> Outcome
  ) throws {
    let method = try concepts.mapMethod()
    try output.withWriter { writer in
      clock.end(\.opening)
      let saliency = try method.make(request)
      warn(of: saliency)
      clock.end(\.concepts)
      try checkInterrupt()
      let recorder = try output.recorder(saliency, request)
      let progress = Progress(label)
      let processors: [(any AttentionProcessor)?] = [saliency, recorder?.processor]
      let outcome = try body(processors.compactMap { $0 }) { step in
        progress.show(step.done, of: step.total)
        recorder?.record(step)
        try checkInterrupt()
      }
      progress.finish()
      clock.add(outcome.seconds)
      var metadata = metadata
      metadata.seconds = clock.seconds
      metadata.peakTensorBytes = Memory.peak
      let maps = try saliency.maps()
      try withoutInterrupts { try write(outcome, maps, metadata, title: title, writer, recorder) }
    }
  }

  /// One picture goes into the folder itself, several into folders of their own.
  private func write(
    _ outcome: Outcome, _ maps: SaliencyMaps, _ metadata: RunMetadata, title: String, _ writer: ArtifactWriter,
    _ recorder: TensorRecorder?
  ) throws {
    var runs: [RunMetadata] = [], paths: [String] = []
    for (index, (image, seed)) in outcome.images.enumerated() {
      var run = metadata
      run.seed = seed
      let folder = outcome.images.count == 1 ? output.output : "\(output.output)/seed-\(seed)"
      paths += try ArtifactWriter(folder: folder, colorMap: output.colorMap)
        .write(image: image, maps: maps, title: title, metadata: run, picture: index)
      runs.append(run)
    }
    if let recorder {
      try recorder.write(maps, run: metadata)
      paths.append(recorder.path)
    }
    try output.report(runs, paths)
  }

  private func warn(of method: any SaliencyMethod) {
    guard let concepts = (method as? ConceptAttention)?.concepts else { return }
    for (first, second) in concepts.indistinguishable {
      printError(
        "warning: '\(first)' and '\(second)' are the same to the model's tokenizer, so their maps are the same")
    }
  }
}
