import ArgumentParser
import EmbeddedModels
import Foundation
import Models
import NN
import Tensor

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows the parts of a model, the memory and time a run will take, and what would take less memory.",
    discussion: """
      Opens the model as 'generate' would, so that it also tells whether its files are whole and fit each other. Memory is \
      what the system calls resident: tensors, and the pages of files that a run touches, which the system may drop again \
      and count as its cache. Text encoders leave before the transformer works, the autoencoder comes last. The time is an \
      estimate, from one block and a piece of a decoding that are measured now; with a large model that takes some seconds.

      EXAMPLES
          concept-attention info --model FLUX.1-schnell
          concept-attention info --model FLUX.1-dev \\
            --transformer flux1-dev-Q8_0.gguf --width 768 --height 1280
      """)

  @Option(help: ArgumentHelp("Width of the picture that memory and time are told for.", valueName: "pixels"))
  var width: Int?

  @Option(help: ArgumentHelp("Height of the picture that memory and time are told for.", valueName: "pixels"))
  var height: Int?

  @Option(help: ArgumentHelp("Frames of the video that memory and time are told for.", valueName: "count"))
  var frames: Int?

  @Option(help: ArgumentHelp("Denoising steps that time is told for.", valueName: "count"))
  var steps: Int?

  @Option(help: ArgumentHelp("Tokens the prompt is cut or padded to.", valueName: "tokens"))
  var maxSequenceLength: Int?

  @OptionGroup(title: "Model") var model: ModelOptions

  func run() throws {
    let folder = try model.folder(), parts = try folder.parts(model.checkpoint(folder))
    let pipeline = try model.open(), plan = try plan(pipeline)
    print("\(folder.pipelineClass) in \(folder.path)")
    print(line("part", "parameters", "in files", "type"))
    for part in parts {
      let types = part.types.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key).joined(separator: ", ")
      print(line(part.name, millions(part.parameters), size(part.bytes), types))
    }
    let bytes = parts.map(\.bytes).reduce(0, +)
    print(line("together", millions(parts.map(\.parameters).reduce(0, +)), size(bytes), ""))
    describeMemory(try situation(parts, pipeline, plan), pipeline, plan)
    try describeAlternatives(parts, pipeline, plan)
    describeTime(try pipeline.timeEstimate(plan), blocks: pipeline.transformer.blocks.count)
  }

  private func describeTime(_ estimate: TimeEstimate, blocks: Int) {
    let passes = estimate.passes == 1 ? "" : ", \(estimate.passes) passes each,"
    print(
      """

      Time on this machine (\(Kernels.current.name), threads: \(Threads.count)), estimated from one block and a small decoding:
        some \(durationText(estimate.transformer)) for \(estimate.steps) steps\(passes) of \(blocks) blocks
        some \(durationText(estimate.decoding)) for decoding
      beside reading the files and encoding the prompt.
      """)
  }

  private func plan(
    _ pipeline: any DiffusionPipeline, change: (inout GenerationRequest) -> Void = { _ in }
  ) throws -> GenerationPlan {
    var request = GenerationRequest("")
    (request.width, request.height, request.frames, request.steps) = (width, height, frames, steps)
    request.maxSequenceLength = maxSequenceLength
    request.standInForImage(pipeline)
    change(&request)
    return try pipeline.plan(request)
  }

  private func situation(
    _ parts: [ModelFolder.Part], _ pipeline: any DiffusionPipeline, _ plan: GenerationPlan, limit: Int? = nil
  ) throws -> MemoryForecast.Situation {
    let estimate = pipeline.activationEstimate(plan)
    let pixels = plan.size.width * plan.size.height * pipeline.resultFrames(plan.size.frames)
    return .init(
      parts: parts, plan: plan, estimate: estimate, encoding: pipeline.encodingEstimate(plan, phrases: Self.concepts),
      share: pipeline.weightMemory.share(beside: estimate.transformer, limit: limit),
      results: 40 * plan.size.width * plan.size.height + 12 * pixels)
  }

  /// So many are assumed.
  private static let concepts = 3

  private func describeMemory(
    _ situation: MemoryForecast.Situation, _ pipeline: any DiffusionPipeline, _ plan: GenerationPlan
  ) {
    let forecast = MemoryForecast(situation), frames = pipeline.resultFrames(plan.size.frames)
    let what = frames > 1 ? "a video of \(frames) frames" : "one picture"
    print("\nMemory for \(what) of \(plan.size.width) × \(plan.size.height), phase by phase:")
    print(line("phase", "files' pages", "beside them", ""))
    for phase in forecast.phases { print(line(phase.name, size(phase.pages), size(phase.own), size(phase.total))) }
    let peak = forecast.peak
    print("At most \(size(peak.total)) at one time, \(size(peak.own)) of which cannot be dropped and read again.")
    if let free = Memory.pageAllowance { print("\(free.source) leaves \(size(free.bytes)).") }
    if forecast.streamed > 0 {
      print(
        "\(size(forecast.streamed)) of the transformer's weights do not fit and are read from the disk at every step.")
    } else if !situation.share.isEmpty {
      print("The transformer's weights fit and are read from the disk once.")
    }
    if !model.lora.isEmpty { print("Matrices that LoRA files change are merged in memory and not counted.") }
  }

  private func describeAlternatives(
    _ parts: [ModelFolder.Part], _ pipeline: any DiffusionPipeline, _ plan: GenerationPlan
  ) throws {
    let now = MemoryForecast(try situation(parts, pipeline, plan))
    var lines: [String] = []
    func tell(_ option: String, _ other: MemoryForecast.Situation, _ price: String = "") {
      let forecast = MemoryForecast(other), saved = now.peak.total - forecast.peak.total
      let streamed = forecast.streamed > now.streamed ? "; \(size(forecast.streamed)) are read at every step" : ""
      guard saved > now.peak.total / 100 || forecast.streamed < now.streamed else { return }
      let less =
        now.streamed > forecast.streamed ? ", and \(size(now.streamed - forecast.streamed)) less to read a step" : ""
      lines.append("  \(option): \(size(forecast.peak.total)), saves \(size(max(0, saved)))\(less)\(streamed)\(price)")
    }
    var seen = try situation(parts, pipeline, plan)
    seen.encodes = false
    tell("a prompt and concepts that were seen before", seen)
    if parts.contains(where: { $0.name == "text_encoder_3" }), try canLeaveOutT5() {
      tell("--without-t5", try situation(parts.filter { $0.name != "text_encoder_3" }, pipeline, plan))
    }
    for quantised in [("Q8_0", 8.5), ("Q4_K", 4.5)] {
      for (option, isMeant) in quantisable where parts.contains(where: isMeant) {
        tell(
          "\(option) in \(quantised.0)",
          try situation(parts.map { isMeant($0) ? $0.quantised(bits: quantised.1) : $0 }, pipeline, plan)
            .quantised(bits: quantised.1, isMeant))
      }
    }
    if plan.guidance.classifierFree != nil {
      tell("--true-cfg 1", try situation(parts, pipeline, self.plan(pipeline) { $0.trueCFG = 1 }))
    }
    let multiple = pipeline.sizeMultiple
    func half(_ side: Int) -> Int { max(multiple, side / 2 / multiple * multiple) }
    let (width, height) = (half(plan.size.width), half(plan.size.height))
    // A model with learned positions makes one size.
    if let smaller = try? self.plan(pipeline, change: { ($0.width, $0.height) = (width, height) }) {
      tell("--width \(width) --height \(height)", try situation(parts, pipeline, smaller))
    }
    let share = pipeline.weightMemory.share(beside: 0, limit: Int(1e15))
    if share.resident > 0 {
      let limit = (share.resident + share.streamed) / 2
      tell("--weight-memory \(limit >> 20)M", try situation(parts, pipeline, plan, limit: limit))
    }
    if model.dtype != nil {
      tell("no --dtype", try situation(parts.map(\.unconverted), pipeline, plan))
    }
    if !lines.isEmpty { print("What would take less:\n" + lines.joined(separator: "\n")) }
  }

  private func canLeaveOutT5() throws -> Bool {
    let family = try ModelFamily(of: try model.folder())
    return family.optionalTextEncoders.contains(.t5) && !model.textEncoders.withoutT5
  }

  /// Parts with weights that GGUF files could have smaller.
  private var quantisable: [(option: String, isMeant: (ModelFolder.Part) -> Bool)] {
    [
      ("--transformer", { $0.name == "transformer" && $0.isDense }),
      ("--t5", { $0.name.hasPrefix("text_encoder") && $0.parameters > 1_000_000_000 && $0.isDense }),
    ]
  }

  private func line(_ name: String, _ first: String, _ second: String, _ last: String) -> String {
    func right(_ text: String) -> String { String(repeating: " ", count: max(0, 14 - text.count)) + text }
    let row = "  " + name.padding(toLength: max(16, name.count), withPad: " ", startingAt: 0) + right(first)
    return last.isEmpty ? row + right(second) : row + right(second) + "  " + last
  }

  private func millions(_ count: Int) -> String { String(format: "%.3f M", Double(count) / 1e6) }

  private func size(_ bytes: Int) -> String {
    bytes < 1_000_000_000
      ? String(format: "%.1f MB", Double(bytes) / 1e6) : String(format: "%.2f GB", Double(bytes) / 1e9)
  }
}

extension ModelFolder.Part {
  /// Whether no matrix is block-quantised.
  fileprivate var isDense: Bool { types.keys.allSatisfy { DType(rawValue: $0) != nil } }

  fileprivate func quantised(bits: Double) -> Self {
    var part = self
    part.tableBytes = Int(Double(tableBytes) / Double(max(1, bytes)) * Double(parameters) * bits / 8)
    part.bytes = Int(Double(parameters) * bits / 8)
    (part.convertedBytes, part.replacedBytes) = (0, 0)
    return part
  }

  fileprivate var unconverted: Self {
    var part = self
    (part.convertedBytes, part.replacedBytes) = (0, 0)
    return part
  }
}

extension MemoryForecast.Situation {
  /// The transformer's blocks with so many bits a weight, where it is meant.
  fileprivate func quantised(bits: Double, _ isMeant: (ModelFolder.Part) -> Bool) -> Self {
    guard let transformer = parts.first(where: { $0.name == "transformer" && isMeant($0) }) else { return self }
    var situation = self
    let whole = share.resident + share.streamed
    // What is smaller fits sooner.
    situation.share.resident = min(share.streamed > 0 ? share.resident : whole, transformer.bytes)
    situation.share.streamed = whole == 0 ? 0 : max(0, transformer.bytes - situation.share.resident)
    return situation
  }
}
