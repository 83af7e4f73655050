import Formats
import Foundation
import Tensor

/// The files of a scene: a picture and its mask, or a video's frames and theirs.
struct SceneFiles {
  private let pictures, masks: [String]

  /// As long as a video that the pipelines take.
  static let mostFrames = 1024

  /// - Parameters:
  ///   - name, masks: files, or folders of PNG files; within `folder`
  /// - Throws: `SceneSetError`
  init(_ name: String, masks: String, isVideo: Bool, folder: String) throws {
    let (name, mask) = ("\(folder)/\(name)", "\(folder)/\(masks)")
    guard isVideo else {
      (pictures, self.masks) = ([name], [mask])
      return
    }
    (pictures, self.masks) = (try Self.frames(name), try Self.frames(mask))
    guard self.masks.count == pictures.count else {
      throw SceneSetError(mask, .badFrames("\(self.masks.count) masks for \(pictures.count) frames"))
    }
  }

  /// PNG files in the order of their names, numbers by value (`2.png` before `10.png`).
  private static func frames(_ folder: String) throws -> [String] {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: folder)
    } catch { throw SceneSetError(folder, .missingFile) }
    let frames = names.filter { $0.hasSuffix(".png") }
      .sorted { $0.compare($1, options: [.numeric]) == .orderedAscending }
    guard (1...mostFrames).contains(frames.count) else {
      throw SceneSetError(folder, .badFrames("\(frames.count) PNG files, expected 1 to \(mostFrames)"))
    }
    return frames.map { "\(folder)/\($0)" }
  }

  /// - Parameter labelCount: labels there are
  /// - Returns: `u8` `[frames, height, width, 3]`, and the labels' numbers by frame
  /// - Throws: `SceneSetError`
  func read(labelCount: Int) throws -> (frames: Tensor, labels: [[UInt8]]) {
    var frames: [Tensor] = [], labels: [[UInt8]] = []
    for (path, maskPath) in zip(pictures, masks) {
      let frame: Tensor
      do { frame = try Image.read(path: path) } catch { throw SceneSetError(path, .badPicture("\(error)")) }
      let (height, width) = (frame.shape[0], frame.shape[1])
      if let first = frames.first, first.shape != frame.shape {
        let size = "\(first.shape[1]) × \(first.shape[0])"
        throw SceneSetError(path, .badFrames("\(width) × \(height) in a video of \(size)"))
      }
      let mask = try LabelMask(path: maskPath, labelCount: labelCount)
      guard (mask.height, mask.width) == (height, width) else {
        let size = "\(width) × \(height)"
        throw SceneSetError(maskPath, .badMask("\(mask.width) × \(mask.height) for a picture of \(size)"))
      }
      frames.append(frame)
      labels.append(mask.labels)
    }
    return (stacked(frames), labels)
  }
}
