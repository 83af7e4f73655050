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
  let interventions: Interventions?
  let names: [String]
  let context: RunContext
  private var clock = CommandClock()
  let pipeline: any DiffusionPipeline

  /// Opens the model.
  init(
    _ model: ModelOptions, _ concepts: ConceptOptions, _ interventions: InterventionOptions, _ output: OutputOptions,
    names: [String], in context: RunContext
  ) throws {
    self.model = model
    self.concepts = concepts
    self.output = output
    self.names = names
    self.context = context
    self.interventions = try interventions.interventions()
    if let opened = context.pipeline {
      pipeline = opened
    } else {
      if !output.force { try RunNeeds.check(model.convertedBytes(), of: "converting the weights") }
      pipeline = try model.open()
    }
    clock.end(\.opening)
  }

  /// What a run gives.
  struct Outcome {
    /// Pictures or videos to write, with the number that tells them apart.
    var footage: [(footage: Footage, seed: UInt64)]
    var seconds: PhaseSeconds
    var blocks: GenerationResult.BlockCount?
  }

  /// - Parameters:
  ///   - request: of the maps
  ///   - needs: of the run, compared with what there is before it starts
  ///   - seeds: of the pictures
  ///   - label: what is counted
  ///   - title: heads the report
  ///   - expecting: tells the text encoders what will be encoded beside these phrases
  ///   - metadata: of the run, without what this adds
  ///   - looksEverywhere: whether numbers are checked in blocks that the maps are not made of
  ///   - state: where it is saved how far the run has come; nil not to save
  ///   - resumes: whether it goes on from there
  ///   - picture: where the picture is after a step
  ///   - body: runs the model with the processors from a state on, and calls the function after every step
  mutating func run(
    _ request: MapRequest, needs: RunNeeds, seeds: [UInt64], progress label: String, title: String,
    expecting: ([String]) throws -> Void, metadata: RunMetadata, looksEverywhere: Bool, state: RunState? = nil,
    resumes: Bool = false,
    picture: @escaping (GenerationStep) -> Tensor?,
    _ body: ([any AttentionProcessor], GenerationState?, @escaping (GenerationStep) throws -> Void) throws -> Outcome
  ) throws {
    let method = try concepts.mapMethod(), interventions = interventions, context = context
    if !output.force { try RunNeeds.check(needs.memory, of: "this run") }
    let folder = try RunFolder(
      output.output, folders: output.folders(seeds: seeds),
      names: ArtifactWriter.fileNames(concepts: names, frames: needs.frames),
      files: [output.saveTensors, state?.path].compactMap { $0 }, bytes: output.force ? nil : needs.disk)
    clock.end(\.opening)
    try expecting(method.name == MapMethod.conceptAttention.name ? request.phrases : [])
    let saliency = try method.make(request)
    warn(of: saliency)
    clock.end(\.concepts)
    try checkInterrupt()
    let recorder = try output.recorder(saliency, request)
    let guardian = output.allowsNonfinite ? nil : FiniteGuard(request, looksEverywhere: looksEverywhere)
    let progress = context.isWatched ? nil : Progress(label)
    if let progress { pipeline.weightMemory.onProgress { progress.show(block: $0, of: $1, bytes: $2) } }
    let earlier = resumes ? try state?.load(into: saliency) : nil
    var state = context.isWatched ? nil : state
    let processors: [(any AttentionProcessor)?] = [guardian?.check, saliency, recorder?.processor]
    let outcome = try body((interventions?.processors ?? []) + processors.compactMap { $0 }, earlier) { step in
      progress?.show(step.done - (earlier?.stepsDone ?? 0), of: step.total - (earlier?.stepsDone ?? 0))
      try interventions?.check()
      try guardian?.check(step)
      recorder?.record(step)
      try state?.save(step, saliency)
      try context.watch?(.init(step: step, label: label, maps: saliency.maps) { picture(step) })
      try checkInterrupt()
    }
    progress?.finish()
    pipeline.weightMemory.onProgress(nil)
    try interventions?.finish()
    try Task.checkCancellation()
    clock.add(outcome.seconds)
    var metadata = metadata
    metadata.seconds = clock.seconds
    if let arguments = context.arguments { metadata.arguments = arguments }
    metadata.peakTensorBytes = Memory.peak
    metadata.peakResidentBytes = Memory.peakResident
    let streamed = pipeline.weightMemory.streamedBytes
    metadata.streamedBytes = streamed > 0 ? streamed : nil
    (metadata.blocks, metadata.skippedBlocks) = (outcome.blocks?.all, outcome.blocks?.skipped)
    let kept = try saliency.maps(), maps = output.averagesFrames ? kept.averagedOverFrames() : kept
    try guardian?.check(maps)
    try write(outcome, maps, metadata, title: title, folder, recorder)
    state?.remove()
  }

  private func write(
    _ outcome: Outcome, _ maps: SaliencyMaps, _ metadata: RunMetadata, title: String, _ folder: RunFolder,
    _ recorder: TensorRecorder?
  ) throws {
    var runs: [RunMetadata] = [], paths: [String] = []
    let places = output.folders(seeds: outcome.footage.map(\.seed))
    for (index, (footage, seed)) in outcome.footage.enumerated() {
      try checkInterrupt()
      var run = metadata
      run.seed = seed
      paths += try ArtifactWriter(folder: places[index], colorMap: output.colorMap).write(
        footage, maps: maps, title: title, metadata: run, picture: index, in: folder.transaction)
      runs.append(run)
    }
    if let recorder {
      try recorder.write(
        maps, run: metadata, runID: RunID(outcome.footage.map(\.footage), maps), in: folder.transaction)
      paths.append(recorder.path)
    }
    try folder.commit()
    if !context.isWatched { try output.report(runs, paths) }
  }

  private func warn(of method: any SaliencyMethod) {
    guard let concepts = (method as? ConceptAttention)?.concepts else { return }
    for (first, second) in concepts.indistinguishable {
      printError(
        "warning: '\(first)' and '\(second)' are the same to the model's tokenizer, so their maps are the same")
    }
  }
}
