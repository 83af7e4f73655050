import ArgumentParser
import Artifacts
import ConceptAttention
import Explorer
import Formats
import Foundation
import Models
import NN
import Synchronization
import Tensor

/// Does the explorer's runs with one open model: each is a command, read and run as if it had been typed.
final class ExploreRunner: RunExecutor {
  let model: Data
  private let options: ModelOptions
  private let pipeline: any DiffusionPipeline
  private let traces = GenerationTraces()

  /// Opens the model.
  init(_ options: ModelOptions) throws {
    try RunNeeds.check(options.convertedBytes(), of: "converting the weights")
    self.options = options
    pipeline = try options.open()
    let encoder = RunMetadata.encoder()
    model = try encoder.encode(ModelDescription(options, pipeline))
  }

  func check(_ arguments: [String]) throws { try command(arguments).check(pipeline) }

  func run(_ arguments: [String], report: @escaping @Sendable (RunProgress) -> Void) throws {
    let reporter = Reporter(report)
    var context = RunContext(pipeline: pipeline, arguments: arguments + options.arguments, traces: traces)
    context.watch = { try reporter.report($0) }
    try command(arguments).run(in: context)
    // What a run held is the next one's, or the system's.
    Memory.trim()
  }

  func kind(ofUpload data: Data, limits: ExplorerLimits) throws -> String {
    let ending =
      data.starts(with: [0x89, 0x50, 0x4E, 0x47])
      ? "png"
      : data.starts(with: [0xFF, 0xD8, 0xFF])
        ? "jpg"
        : data.starts(with: [0x93] + Array("NUMPY".utf8)) ? "npy" : "safetensors"
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("upload-\(UUID()).\(ending)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    do { try data.write(to: URL(fileURLWithPath: path)) } catch { throw Refusal(500, "there is no room for the file") }
    do {
      if ["png", "jpg"].contains(ending) {
        _ = try Image.read(path: path, options: ImageOptions(maximumPixels: limits.uploadPixels))
      } else {
        _ = try InterventionOptions.vector(path)
      }
    } catch {
      let reason = "\(error)".replacingOccurrences(of: path, with: "the file")
      throw Refusal("neither a PNG or JPEG picture nor a vector in .npy or .safetensors: \(reason)")
    }
    return ending
  }

  /// - Throws: `Refusal` with what the command line says against it
  private func command(_ arguments: [String]) throws -> any ExplorableCommand {
    let rest = Array(arguments.dropFirst())
    do {
      switch arguments.first {
      case "generate":
        var command = try Generate.parse(rest)
        command.model = options
        return command
      default:
        var command = try Segment.parse(rest)
        command.model = options
        return command
      }
    } catch {
      throw Refusal(Generate.message(for: error))
    }
  }
}

/// Sends pictures and maps on the way, as often as they cost little.
private final class Reporter {
  private let send: (RunProgress) -> Void
  private var last = ContinuousClock.now
  private var cost = Duration.zero

  init(_ send: @escaping (RunProgress) -> Void) { self.send = send }

  func report(_ watched: RunContext.WatchedStep) throws {
    let step = watched.step, start = ContinuousClock.now
    var progress = RunProgress(done: step.done, total: step.total, what: watched.label)
    if step.done == 1 || start - last > max(cost * 2, .milliseconds(40)) {
      progress.picture = try watched.picture().map { Data(try PNG.encode($0, compressionLevel: 1)) }
      // Steps that the maps are not made of come first where --timesteps chooses.
      progress.maps = try (try? watched.maps()).map { try ArtifactWriter.valuesFile($0) }
      last = ContinuousClock.now
      cost = last - start
    }
    send(progress)
  }
}

/// What the page needs to know of the model.
private struct ModelDescription: Encodable {
  struct Blocks: Encodable {
    var family: String
    var count: Int
    var streams: [String]
  }

  var name, family, textFamily: String
  /// What it does with a picture to start from.
  var imageUse: String
  var width, height, steps, sizeMultiple: Int
  /// Of a video; nil where it makes pictures.
  var frames: Int?
  var layers: [Int]?
  var noise: Float
  var blocks: [Blocks]
  var methods, spaces: [String]
  /// How it was opened, for copying as a command line.
  var arguments: [String]

  init(_ options: ModelOptions, _ pipeline: any DiffusionPipeline) throws {
    var request = GenerationRequest("")
    request.standInForImage(pipeline)
    let plan = try pipeline.plan(request), model = pipeline.transformer
    name = options.model
    family = pipeline.settings.name
    textFamily = model.textFamily
    imageUse = pipeline.settings.imageUse.rawValue
    (width, height, steps) = (plan.size.width, plan.size.height, plan.steps)
    frames = pipeline.settings.size.frames == 1 ? nil : plan.size.frames
    sizeMultiple = pipeline.sizeMultiple
    layers = pipeline.defaults.layers
    noise = pipeline.defaults.noiseLevel ?? 0.5
    var names: [String] = []
    for block in model.blocks where !names.contains(block.family) { names.append(block.family) }
    blocks = names.map { name in
      let own = model.blocks.filter { $0.family == name }
      return Blocks(family: name, count: own.count, streams: own.first.map { model.streams(in: $0).map(\.name) } ?? [])
    }
    methods = MapMethod.all.map(\.name)
    spaces = SaliencySpace.allCases.map(\.rawValue)
    arguments = options.arguments
  }
}

extension ModelOptions {
  /// As they were typed.
  var arguments: [String] {
    var arguments = ["--model=\(model)"]
    for (name, value) in [
      ("transformer", transformer), ("autoencoder", autoencoder), ("clip-l", textEncoders.clipL),
      ("clip-g", textEncoders.clipG), ("t5", textEncoders.t5), ("dtype", dtype?.rawValue),
      ("compute", compute?.rawValue), ("threads", threads.map { "\($0)" }),
    ] {
      if let value { arguments.append("--\(name)=\(value)") }
    }
    if textEncoders.withoutT5 { arguments.append("--without-t5") }
    return arguments + lora.map { "--lora=\($0.file.path):\($0.file.strength)" }
  }
}
