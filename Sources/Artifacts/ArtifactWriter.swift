// The folder that a run leaves: pictures, maps, metadata and a report.

import ConceptAttention
import Formats
import Foundation
import Tensor

/// Writes what a run found, each file under its name only when it is complete.
///
/// - `image.png`; `heatmap-CONCEPT.png` and `overlay-CONCEPT.png` for each concept; `contact-sheet.png`
/// - of a video instead `frames/NNNN.png`, `video.gif`, `heatmap-CONCEPT.gif` and `overlay-CONCEPT.gif`, where `ffmpeg` is
///   on the path each also as `.mp4`, and a contact sheet over time
/// - `maps.safetensors` and `maps.npz`, values before colour: `average` and, where kept, `layer.N`, `step.N`, `head.N`
/// - `metadata.json`
/// - `report.html`, one page that needs nothing else
///
/// Files of one run can be told from those of another: see ``RunID``.
public struct ArtifactWriter: Sendable {
  public var folder: String
  public var colorMap: ColorMap
  public var scaling: MapScaling
  /// Whether videos are also written as MP4, which takes the `ffmpeg` program.
  public var writesMP4 = FFmpeg.isInstalled

  /// Share of the map's colour in an overlay.
  static let overlayOpacity: Float = 0.55

  /// Creates the folder where it does not exist.
  ///
  /// - Throws: `ArtifactError` when the folder cannot be created or written to
  public init(folder: String, colorMap: ColorMap = .viridis, scaling: MapScaling = .perConcept) throws {
    self.folder = folder
    self.colorMap = colorMap
    self.scaling = scaling
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw ArtifactError.folder(folder, "cannot be created: \(Self.reason(error))")
    }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
      throw ArtifactError.folder(folder, "is no folder")
    }
    guard FileManager.default.isWritableFile(atPath: folder) else {
      throw ArtifactError.folder(folder, "cannot be written to")
    }
  }

  /// The names of the files that are written for one picture, or a video of several frames, in order.
  public static func fileNames(
    concepts: [String], frames: Int = 1, writesMP4: Bool = FFmpeg.isInstalled
  ) -> [String] {
    let stems = FileNames.stems(concepts), rest = ["contact-sheet.png", "maps.safetensors", "maps.npz"]
    func files(_ stem: String) -> [String] { frames > 1 ? videoNames(stem, mp4: writesMP4) : ["\(stem).png"] }
    return (frames > 1 ? (0..<frames).map(frameName) + files("video") : ["image.png"])
      + stems.flatMap { files("heatmap-\($0)") + files("overlay-\($0)") } + rest + ["metadata.json", "report.html"]
  }

  /// One frame of the averaged maps of one picture, in the form of `maps.safetensors`, in memory: maps on their way.
  public static func valuesFile(_ maps: SaliencyMaps, picture: Int = 0, frame: Int = 0) throws -> Data {
    try Report.safetensors([("average", maps.average[picture, .all, frame])], concepts: maps.concepts)
  }

  /// Writes everything for one picture or video. The files appear together, when all are complete.
  ///
  /// - Parameters:
  ///   - footage: what the maps are shown over
  ///   - maps: maps of the run; those of `picture` are written
  ///   - title: heads the contact sheet and the report, such as the prompt
  ///   - metadata: becomes `run` in `metadata.json` and a table in the report
  /// - Returns: the paths written, in order
  /// - Throws: `FileError` for a file that cannot be written, `VideoError`, what the metadata throw when encoded (before
  ///   anything is written)
  public func write(
    _ footage: Footage, maps: SaliencyMaps, title: String, metadata: some Encodable, picture: Int = 0
  ) throws -> [String] {
    let transaction = FileTransaction()
    let paths = try write(
      footage, maps: maps, title: title, metadata: metadata, picture: picture, in: transaction)
    try transaction.commit()
    return paths
  }

  /// The same as part of a transaction: nothing appears until it is committed.
  public func write(
    _ footage: Footage, maps: SaliencyMaps, title: String, metadata: some Encodable, picture: Int = 0,
    in transaction: FileTransaction
  ) throws -> [String] {
    let run = RunMaps(maps, picture: picture), ranges = ranges(of: run)
    let files = Self.fileNames(concepts: maps.concepts, frames: footage.count, writesMP4: writesMP4)
    let id = RunID(footage.frames, run)
    let description = try metadataJSON(
      title: title, maps: run, ranges, footage: footage, files: files, run: metadata, id: id)
    if footage.isVideo {
      try writeVideo(footage, run, ranges, title: title, id, transaction)
    } else {
      try writePictures(footage, run, ranges, title: title, id, transaction)
    }
    try writeValues(run, id, transaction)
    try AtomicFile.write(description, to: transaction.stage(path("metadata.json")))
    let report = try Report(title: title, footage: footage, maps: run, metadata: description)
    try AtomicFile.write(Array(report.page.utf8), to: transaction.stage(path("report.html")))
    return files.map(path)
  }

  /// One concept after the other: what is in memory does not grow with their number.
  private func writePictures(
    _ footage: Footage, _ maps: RunMaps, _ ranges: [ConceptRange], title: String, _ id: RunID,
    _ transaction: FileTransaction
  ) throws {
    let image = footage[0], average: Tensor = maps.average[footage.mapFrames[0]]
    func write(_ pixels: Tensor, _ name: String) throws {
      try PNG.write(pixels, to: transaction.stage(path(name)), texts: [PNG.Text(RunID.key, id.run)])
    }
    // The picture is the same whatever was looked for in it, and so is its file.
    try PNG.write(image, to: transaction.stage(path("image.png")), texts: [PNG.Text(RunID.imageKey, id.image)])
    let (height, width) = (image.shape[0], image.shape[1])
    let layout = ContactSheet.Layout(
      cells: ranges.count + 1, height: height, width: width, hasTitle: !title.isEmpty)
    var cells = [ContactSheet.Cell(image, caption: "picture", detail: "\(width) x \(height)")]
    for (index, stem) in FileNames.stems(maps.concepts).enumerated() {
      let rendering = rendering(of: average[index], ranges[index].range, over: image)
      try write(rendering.heatmap, "heatmap-\(stem).png")
      try write(rendering.overlay, "overlay-\(stem).png")
      cells.append(cell(rendering, ranges[index], layout: layout))
    }
    try write(ContactSheet(title: title, cells: cells).rendered(), "contact-sheet.png")
  }

  private func writeValues(_ maps: RunMaps, _ id: RunID, _ transaction: FileTransaction) throws {
    let names = try String(decoding: JSONEncoder().encode(maps.concepts), as: UTF8.self)
    try SafetensorsFile.write(
      maps.tensors, to: transaction.stage(path("maps.safetensors")), metadata: ["concepts": names, RunID.key: id.run])
    var arrays = maps.tensors
    arrays[RunID.key] = Tensor(scalars: Array(id.run.utf8), shape: [id.run.utf8.count])
    try NpzFile.write(arrays, to: transaction.stage(path("maps.npz")), compressed: true)
  }

  func path(_ name: String) -> String { folder.hasSuffix("/") ? folder + name : folder + "/" + name }

  private static func reason(_ error: any Error) -> String {
    let error = error as NSError
    let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError ?? error
    guard cause.domain == NSPOSIXErrorDomain else { return cause.localizedDescription }
    return String(cString: strerror(Int32(cause.code)))
  }
}

public enum ArtifactError: Error, Equatable, CustomStringConvertible {
  /// A folder, and what is wrong with it.
  case folder(String, String)
  /// What was found instead of a picture.
  case notAPicture(String)

  public var description: String {
    switch self {
    case .folder(let path, let reason): "output folder \(path) \(reason)"
    case .notAPicture(let found): "picture to write: found \(found), expected u8 [height, width, 3]"
    }
  }
}

/// Names of files made of concepts.
enum FileNames {
  /// Letters, digits, `-` and `_` of ASCII stay, every run of others becomes one `-`. Names that are equal, also
  /// but for case (some file systems do not tell them apart), get `-2`, `-3` and so on.
  static func stems(_ concepts: [String]) -> [String] {
    var taken: Set<String> = []
    return concepts.map { concept in
      let stem = sanitized(concept)
      var candidate = stem
      var number = 2
      while !taken.insert(candidate.lowercased()).inserted {
        candidate = "\(stem)-\(number)"
        number += 1
      }
      return candidate
    }
  }

  private static func sanitized(_ concept: String) -> String {
    let parts = concept.unicodeScalars.split { scalar in
      let isLetter = scalar.isASCII && scalar.properties.isAlphabetic
      return !(isLetter || ("0"..."9").contains(scalar) || scalar == "-" || scalar == "_")
    }
    let stem = parts.map { String($0) }.joined(separator: "-").prefix(64)
    return stem.isEmpty ? "concept" : String(stem)
  }
}
