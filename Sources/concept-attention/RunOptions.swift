import ArgumentParser
import Formats
import Models
import Tensor

/// What a generation can do beside following its prompt: start from a picture, and what Stable Diffusion 3 has of its own.
struct RunOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      A PNG or JPEG file to start from instead of noise alone; with an image-to-video model the first frame, which it \
      cannot do without.
      """, valueName: "file"))
  var image: String?

  @Option(
    help: ArgumentHelp(
      "How much of --image is replaced, above 0 and at most 1: the share of the steps taken; 0.6 unless given."))
  var strength: Double?

  @Option(
    help: ArgumentHelp(
      """
      Guide away from what the model makes of the prompt without these layers, such as 7-9 with Stable Diffusion 3.5 \
      Medium. Takes a pass more at the steps it acts in.
      """, valueName: "layers"))
  var skipLayers: String?

  @Option(help: ArgumentHelp("How strongly --skip-layers guides; 2.8 unless given.", valueName: "scale"))
  var skipLayersScale: Float?

  @Option(
    help: ArgumentHelp("Where --skip-layers acts, as shares of the steps; 0.01-0.2 unless given.", valueName: "from-to")
  )
  var skipLayersRange: String?

  @Option(
    help: ArgumentHelp(
      "How many of CLIP's last layers the prompt leaves out, beyond the last (Stable Diffusion 3).", valueName: "count")
  )
  var clipSkip: Int?

  @Option(
    help: ArgumentHelp(
      """
      Skip the blocks after the first in steps where it adds nearly what it added before, up to this relative change, such as \
      0.1. Changes the picture a little. Blocks that the maps are made of run in every step that is mapped, so that the maps \
      cost more than without; see --layers and --timesteps.
      """, valueName: "threshold"))
  var blockCache: Float?

  @Flag(help: "Go on with a run that was ended early, to the same bits: the same command, and --resume.")
  var resume = false

  @Option(
    help: ArgumentHelp(
      "Save where a run stands for --resume whenever so much time has passed; the file goes when it is complete.",
      valueName: "seconds"))
  var saveEvery: Double = 120

  func validate() throws {
    if !(0...1e9).contains(saveEvery) { throw ValidationError("--save-every \(saveEvery): expected 0 or more seconds") }
    if strength != nil, image == nil { throw ValidationError("--strength needs --image") }
    if skipLayers == nil, skipLayersScale != nil || skipLayersRange != nil {
      throw ValidationError("--skip-layers-scale and --skip-layers-range need --skip-layers")
    }
  }

  func apply(to request: inout GenerationRequest) throws {
    request.clipSkip = clipSkip
    request.blockCache = blockCache
    if let image {
      var start = StartingImage(try RunNeeds.reading(image) { try Image.read(path: image, options: $0) })
      if let strength { start.strength = strength }
      request.startingImage = start
    }
    guard let skipLayers else { return }
    var skip = SkipLayerGuidance(layers: try indexSet(skipLayers, option: "--skip-layers"))
    if let skipLayersScale { skip.scale = skipLayersScale }
    if let range = skipLayersRange {
      let ends = range.split(separator: "-").map { Double($0) }
      guard ends.count == 2, let start = ends[0], let stop = ends[1], start < stop else {
        throw InputError("--skip-layers-range '\(range)': expected two shares of the steps, such as 0.01-0.2")
      }
      (skip.start, skip.stop) = (start, stop)
    }
    request.skipLayers = skip
  }
}
