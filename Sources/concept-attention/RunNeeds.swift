import Formats
import Models
import NN
import Tensor

/// Roughly what a run takes, told before it starts. Weights are mapped from files and not counted.
struct RunNeeds {
  /// Bytes of memory at most.
  var memory: Int
  /// Bytes on the disk.
  var disk: Int
  /// Of each picture or video.
  var frames: Int

  /// Of what a process holds beside tensors: headers, vocabularies, libraries' buffers.
  private static let overhead = 32 << 20

  /// - Parameters:
  ///   - plan: of the passes
  ///   - steps: of the run, or noise levels
  ///   - pictures: how many there are, and the pixels of each frame as it is written
  init(
    _ plan: GenerationPlan, _ pipeline: any DiffusionPipeline, concepts: Int, steps: Int,
    pictures: (count: Int, pixels: Int)
  ) {
    frames = pipeline.resultFrames(plan.size.frames)
    let estimate = pipeline.activationEstimate(plan)
    let tokens = plan.grid.count, blocks = pipeline.transformer.blocks.count
    // A map for every layer and step and their average, as it is collected and as it is written.
    let map = Self.product(4, concepts, tokens), maps = Self.product(2, pictures.count, map, 1 + blocks + steps)
    // One rendering at a time: the map in single precision, twice while it is resized, its colours, the overlay, the
    // picture, and the bytes of a PNG file.
    let rendering = Self.product(40, pictures.pixels)
    let phases = max(estimate.transformer, estimate.decoding, rendering)
    memory = Self.sum(phases, maps, Self.product(4 * 3, pictures.count, frames, pictures.pixels), Self.overhead)
    // Pictures compress to half their bytes or less, values hardly, and the report has them in letters.
    let drawn = Self.product(3, frames, pictures.pixels, 1 + 2 * concepts) / 2
    let values = Self.product(3, map, 1 + blocks + steps)
    disk = Self.product(pictures.count, Self.sum(drawn, values, 1 << 16))
  }

  /// - Throws: `InputError` with both numbers when this process may not take so much
  static func check(_ bytes: Int, of what: String, _ allowance: Memory.Allowance? = Memory.allowance) throws {
    guard let allowance, bytes > allowance.bytes else { return }
    throw InputError(
      "\(what) takes some \(byteText(bytes)) of memory beside the model's files, and \(allowance.source) leaves "
        + "\(byteText(allowance.bytes)); fewer or smaller pictures take less, --force starts all the same")
  }

  /// What reading a picture takes at most, whatever it is of: samples as they are stored, with alpha and in 16 bits, then as
  /// they are used, turned and put behind each other.
  private static let bytesPerPixel = 16

  /// Options for reading pictures that this process has the memory for.
  static var pictures: ImageOptions {
    let options = ImageOptions()
    let room = Memory.allowance.map { max(1, $0.bytes / bytesPerPixel) } ?? options.maximumPixels
    return ImageOptions(maximumPixels: min(options.maximumPixels, room))
  }

  /// Reads pictures with those options.
  ///
  /// - Throws: what `body` throws, and `InputError` with both numbers where the memory is too small
  static func reading<Result>(_ path: String, _ body: (ImageOptions) throws -> Result) throws -> Result {
    do { return try body(pictures) } catch let error as ImageError {
      guard case .tooLarge(let width, let height, let limit) = error.problem, limit < ImageOptions().maximumPixels,
        let allowance = Memory.allowance
      else { throw error }
      throw InputError(
        "\(path): reading \(width) x \(height) pixels takes some \(byteText(product(width, height, bytesPerPixel))) of "
          + "memory, and \(allowance.source) leaves \(byteText(allowance.bytes))")
    }
  }

  /// What does not fit an integer is as much as one holds.
  private static func product(_ factors: Int...) -> Int {
    factors.reduce(1) { result, factor in
      let (product, overflow) = result.multipliedReportingOverflow(by: factor)
      return overflow ? .max : product
    }
  }

  private static func sum(_ terms: Int...) -> Int {
    terms.reduce(0) { result, term in
      let (sum, overflow) = result.addingReportingOverflow(term)
      return overflow ? .max : sum
    }
  }
}

extension GenerationRequest {
  /// A picture for a model that cannot do without, where only what a run takes is asked for.
  mutating func standInForImage(_ pipeline: any DiffusionPipeline) {
    if case .firstFrame = pipeline.settings.imageUse {
      startingImage = StartingImage(Tensor(zeros: [1, 1, 3], dtype: .u8))
    }
  }
}
