import Formats
import Tensor

/// A picture whose pixels are numbers of labels: an 8-bit PNG, grey or with a palette.
struct LabelMask: Sendable {
  let height, width: Int
  /// Row-major, `height * width` of them.
  let labels: [UInt8]

  /// - Parameter labelCount: labels there are; a pixel of any other number is an error
  /// - Throws: `SceneSetError`
  init(path: String, labelCount: Int) throws {
    let samples: PNG.Samples
    do { samples = try PNG.readSamples(path: path) } catch { throw SceneSetError(path, .badPicture("\(error)")) }
    height = samples.values.shape[0]
    width = samples.values.shape[1]
    guard samples.bitDepth == 8, samples.colorType == .grey || samples.colorType == .palette else {
      throw SceneSetError(path, .badMask("expected 8 bits of grey or a palette"))
    }
    labels = samples.values.scalars(as: UInt8.self)
    if let stray = labels.first(where: { $0 >= labelCount }) {
      throw SceneSetError(path, .badMask("found label \(stray), expected less than \(labelCount)"))
    }
  }
}
