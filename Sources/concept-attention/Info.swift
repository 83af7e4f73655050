import ArgumentParser
import EmbeddedModels
import Foundation
import Models
import Tensor

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows the parts of a model: parameters, element types and the memory they take.",
    discussion: """
      Opens the model as 'generate' would, so that it also tells whether its files are whole and fit each other.

      EXAMPLES
          concept-attention info --model FLUX.1-schnell
          concept-attention info --model FLUX.1-dev \\
            --transformer flux1-dev-Q8_0.gguf --width 768 --height 1280
      """)

  @Option(help: ArgumentHelp("Width of the picture that memory is told for.", valueName: "pixels"))
  var width: Int?

  @Option(help: ArgumentHelp("Height of the picture that memory is told for.", valueName: "pixels"))
  var height: Int?

  @Option(help: ArgumentHelp("Frames of the video that memory is told for.", valueName: "count"))
  var frames: Int?

  @OptionGroup(title: "Model") var model: ModelOptions

  func run() throws {
    let folder = try model.folder(), parts = try folder.parts(model.checkpoint(folder))
    let pipeline = try model.open()
    var request = GenerationRequest("")
    (request.width, request.height, request.frames) = (width, height, frames)
    let plan = try pipeline.plan(request)
    print("\(folder.pipelineClass) in \(folder.path)")
    print(line("part", "parameters", "in files", "type"))
    for part in parts {
      let types = part.types.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key).joined(separator: ", ")
      print(line(part.name, millions(part.parameters), size(part.bytes), types))
    }
    let bytes = parts.map(\.bytes).reduce(0, +)
    print(line("together", millions(parts.map(\.parameters).reduce(0, +)), size(bytes), ""))
    var size = plan.size
    size.frames = pipeline.resultFrames(size.frames)
    describeMemory(parts, size, pipeline.activationEstimate(plan))
  }

  private func describeMemory(
    _ parts: [ModelFolder.Part], _ frames: FrameSize, _ estimate: ActivationEstimate
  ) {
    func bytes(_ isMeant: (String) -> Bool) -> Int { parts.filter { isMeant($0.name) }.map(\.bytes).reduce(0, +) }
    let converted = parts.map(\.convertedBytes).reduce(0, +)
    let what = frames.frames > 1 ? "a video of \(frames.frames) frames" : "one picture"
    print(
      """

      Memory for \(what) of \(frames.width) × \(frames.height), beside the files' pages:
        some \(size(estimate.transformer)) while the transformer runs
        some \(size(estimate.decoding)) while it is decoded
      """)
    if converted > 0 { print("  \(size(converted)) for weights converted to \(model.dtype?.rawValue ?? "")") }
    if !model.lora.isEmpty { print("  and the matrices that LoRA files change, which are merged in memory") }
    print(
      """
      Files are mapped. Every step reads the transformer's \(size(bytes { $0.hasPrefix("transformer") })): \
      with less memory free than that, from the disk.
      The text encoders' \(size(bytes { $0.hasPrefix("text_encoder") })) are let go once the prompt is encoded.
      """)
  }

  private func line(_ name: String, _ parameters: String, _ bytes: String, _ types: String) -> String {
    func right(_ text: String) -> String { String(repeating: " ", count: max(0, 14 - text.count)) + text }
    let row = "  " + name.padding(toLength: max(16, name.count), withPad: " ", startingAt: 0) + right(parameters)
    return types.isEmpty ? row + right(bytes) : row + right(bytes) + "  " + types
  }

  private func millions(_ count: Int) -> String { String(format: "%.3f M", Double(count) / 1e6) }

  private func size(_ bytes: Int) -> String {
    bytes < 1_000_000_000
      ? String(format: "%.1f MB", Double(bytes) / 1e6) : String(format: "%.2f GB", Double(bytes) / 1e9)
  }
}
