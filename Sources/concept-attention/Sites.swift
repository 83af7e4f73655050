import ArgumentParser
import Models
import NN

struct Sites: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists the places where a processor can read or rewrite a tensor.",
    discussion: """
      A site is named block.layer.stream.point, such as double.3.image.attentionOutput, in the order of the \
      computation. In a pattern * stands for anything, 10-14 for a range of layers, and parts left out at the end \
      match anything.

      EXAMPLES
        Everything of the first block:
          concept-attention sites double.0
        The image's queries in all layers:
          concept-attention sites '*.*.image.query'
        Those of a text encoder, which patterns name and * does not stand for:
          concept-attention sites t5
        Save what passes one of them during a run:
          concept-attention generate "a boat" \\
            --save-tensors boat.safetensors --save-site double.2.image.query
      """)

  @Argument(help: "Only sites that match.")
  var pattern: String?

  @OptionGroup(title: "Model") var model: ModelOptions

  func run() throws {
    let pipeline = try model.open(), pattern = pattern.map { SitePattern($0) } ?? "*"
    for site in try pipeline.transformer.sites(matching: pattern, encoders: pipeline.encoderSites, for: "sites") {
      print(site)
    }
  }
}
