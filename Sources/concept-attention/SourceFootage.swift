import Formats
import Foundation
import Models
import Tensor

/// The picture or video that `segment` looks at.
struct SourceFootage {
  let path: String
  /// `u8`, `[frames, height, width, 3]`
  private let frames: Tensor
  /// Of what is looked at; nil when the file does not tell.
  let framesPerSecond: Double?

  /// - Parameters:
  ///   - every: frames from one that is read to the next
  ///   - most: frames that are read
  /// - Throws: `FileError`, `ImageError`, `VideoError`, `InputError` for a folder without pictures
  init(_ path: String, every: Int, most: Int) throws {
    self.path = path
    (frames, framesPerSecond) = try RunNeeds.reading(path) {
      try Self.read(path, every: every, most: most, options: $0)
    }
  }

  private static func read(
    _ path: String, every: Int, most: Int, options: ImageOptions
  ) throws -> (frames: Tensor, framesPerSecond: Double?) {
    if isFolder(path) { return (try read(folder: path, every: every, most: most, options: options), nil) }
    let file = try MappedFile(path: path), count = (most - 1) * every + 1
    switch file.withBytes(Image.format(of:)) {
    case .gif:
      let animation = try GIF.read(file, options: options, most: count)
      return (thinned(animation.frames, every: every), animation.framesPerSecond.map { $0 / Double(every) })
    case .png, .jpeg: return (try Image.read(file, options: options).unsqueezed(0), nil)
    case nil:
      guard isVideo(path) else { throw ImageError(path, nil, .unknownFormat) }
      var program = try FFmpeg()
      program.onWait = { try checkInterrupt() }
      return (thinned(try program.read(path, most: count, options: options), every: every), nil)
    }
  }

  /// The frames that a model looks at: no more than it makes, unless so many were asked for.
  ///
  /// - Throws: `InputError` for a video in front of a model of pictures, or fewer frames than were asked for
  func frames(for pipeline: any DiffusionPipeline, asked: Int?) throws -> Tensor {
    let count = frames.shape[0], standard = pipeline.settings.size.frames
    if count > 1, standard == 1 {
      throw InputError(
        "\(path) has \(count) frames, and \(pipeline.settings.name) looks at pictures: name one of them, or a model of "
          + "videos")
    }
    if let asked, asked > count { throw InputError("--frames \(asked): \(path) has \(count)") }
    return frames.narrow(0, from: 0, count: min(count, asked ?? standard))
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// By its name: a video is shown to another program, a file of any other kind is not.
  private static func isVideo(_ path: String) -> Bool {
    ["mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg"].contains(
      URL(fileURLWithPath: path).pathExtension.lowercased())
  }

  private static func thinned(_ frames: Tensor, every: Int) -> Tensor {
    if every == 1 { return frames }
    return stacked(stride(from: 0, to: frames.shape[0], by: every).map { frames[$0] })
  }

  /// Pictures in the order of their names, numbers by value (`2.png` before `10.png`).
  private static func read(folder: String, every: Int, most: Int, options: ImageOptions) throws -> Tensor {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { ["png", "jpg", "jpeg"].contains(URL(fileURLWithPath: $0).pathExtension.lowercased()) }
      .sorted { $0.compare($1, options: [.numeric]) == .orderedAscending }
    if names.isEmpty { throw InputError("folder \(folder): expected PNG or JPEG files, the frames of a video") }
    var frames: [Tensor] = []
    for index in stride(from: 0, to: names.count, by: every).prefix(most) {
      // Counted over all frames, as those of a file are.
      let room = options.maximumPixels - frames.count * (frames.first.map { $0.shape[0] * $0.shape[1] } ?? 0)
      let frame = try Image.read(
        path: "\(folder)/\(names[index])", options: ImageOptions(maximumPixels: max(room, 1)))
      if let first = frames.first, first.shape != frame.shape {
        throw InputError(
          "\(folder)/\(names[index]): found \(frame.shape[1]) x \(frame.shape[0]) pixels, expected "
            + "\(first.shape[1]) x \(first.shape[0]) as the frames before it")
      }
      frames.append(frame)
    }
    return stacked(frames)
  }
}
