import Tensor

/// What maps are shown over: a picture, or a video whose frames share maps or have one each.
public struct Footage: Sendable {
  /// `u8`, `[frames, height, width, 3]`; a picture is a video of one frame.
  public let frames: Tensor
  /// The frame of the maps that belongs to each frame.
  public let mapFrames: [Int]
  public let framesPerSecond: Double

  public var count: Int { frames.shape[0] }
  public var height: Int { frames.shape[1] }
  public var width: Int { frames.shape[2] }
  public var isVideo: Bool { count > 1 }

  /// - Parameter picture: `u8`, `[height, width, 3]`
  /// - Throws: `ArtifactError.notAPicture`
  public init(_ picture: Tensor) throws(ArtifactError) {
    guard picture.rank == 3 else { throw .notAPicture("\(picture.dtype) \(picture.shape)") }
    try self.init(picture.unsqueezed(0), mapFrames: [0], framesPerSecond: 1)
  }

  /// - Parameters:
  ///   - frames: `u8`, `[frames, height, width, 3]`
  ///   - mapFrames: one per frame
  /// - Throws: `ArtifactError.notAPicture`
  public init(_ frames: Tensor, mapFrames: [Int], framesPerSecond: Double) throws(ArtifactError) {
    guard frames.dtype == .u8, frames.rank == 4, frames.shape[3] == 3, frames.count > 0 else {
      throw .notAPicture("\(frames.dtype) \(Array(frames.shape.dropFirst()))")
    }
    guard mapFrames.count == frames.shape[0] else {
      tensorFailure("Footage: maps' frames for \(mapFrames.count) of the frames \(frames.shape)")
    }
    self.frames = frames
    self.mapFrames = mapFrames
    self.framesPerSecond = framesPerSecond
  }

  /// `[height, width, 3]`
  subscript(_ frame: Int) -> Tensor { frames[frame].contiguous() }

  /// Frames that a sheet shows: up to `most`, from the first to the last at even distances.
  func samples(atMost most: Int) -> [Int] {
    if count <= most { return Array(0..<count) }
    return (0..<most).map { ($0 * (count - 1) + (most - 1) / 2) / (most - 1) }
  }
}
