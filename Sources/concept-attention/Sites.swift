import ArgumentParser
import Models
import NN

struct Sites: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists the places where a processor can read or rewrite a tensor.",
    discussion: "A site is named block.layer.stream.point, such as double.3.image.attentionOutput.")

  @Argument(help: "Only sites that match, such as double.0 or *.*.image.query.")
  var pattern: String?

  @OptionGroup(title: "Model") var model: ModelOptions

  func run() throws {
    let transformer = try model.open().transformer
    let wanted = pattern.map { SitePattern($0) }
    let sites = transformer.sites.filter { wanted?.matches($0) ?? true }
    guard !sites.isEmpty else {
      throw HookError.unknownSite(
        pattern: pattern ?? "", processor: "sites", examples: transformer.sites.prefix(2).map(\.description))
    }
    for site in sites { print(site) }
  }
}
