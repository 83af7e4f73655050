import ArgumentParser
import Foundation
import Models
import Tensor

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows the parts of a model: parameters, element types and the memory they take.",
    discussion: """
      EXAMPLE
          concept-attention info --model FLUX.1-schnell
      """)

  @OptionGroup(title: "Model") var model: ModelOptions

  func run() throws {
    let folder = try ModelFolder(EmbeddedModel(rawValue: model.model)?.folder ?? model.model)
    let parts = try folder.parts()
    print("\(folder.pipelineClass) in \(folder.path)")
    var total = 0
    for part in parts {
      total += part.bytes
      let types = part.types.sorted { $0.value > $1.value }.map { $0.key.rawValue }.joined(separator: ", ")
      print("  \(pad(part.name, 16)) \(pad(millions(part.parameters), 12)) \(pad(types, 10)) \(megabytes(part.bytes))")
    }
    print("  \(pad("total", 16)) \(pad("", 12)) \(pad("", 10)) \(megabytes(total)) mapped, beside the activations")
    _ = try model.open()
  }

  private func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
  private func millions(_ count: Int) -> String { String(format: "%.3f M", Double(count) / 1e6) }
  private func megabytes(_ bytes: Int) -> String { String(format: "%.1f MB", Double(bytes) / 1e6) }
}
