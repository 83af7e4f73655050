// A video's files: its frames, animations of it and of every concept, and a sheet of what happens over time.

import Formats
import Foundation
import Tensor

extension ArtifactWriter {
  /// Frames beside each other on the sheet.
  static let sheetFrames = 6

  /// What a video is written as: animations that every browser shows, and MP4 where `ffmpeg` is installed.
  static func videoNames(_ stem: String, mp4: Bool) -> [String] { ["\(stem).gif"] + (mp4 ? ["\(stem).mp4"] : []) }

  static func frameName(_ index: Int) -> String { String(format: "frames/%04d.png", index) }

  /// One frame after the other: what is in memory does not grow with their number.
  func writeVideo(
    _ footage: Footage, _ maps: RunMaps, _ ranges: [ConceptRange], title: String, _ id: RunID,
    _ transaction: FileTransaction
  ) throws {
    try transaction.makeFolder(path("frames"))
    func movie(_ stem: String) throws -> MovieFiles {
      try MovieFiles(Self.videoNames(stem, mp4: writesMP4), footage, id) { try transaction.stage(path($0)) }
    }
    let samples = footage.samples(atMost: Self.sheetFrames)
    let layout = ContactSheet.Layout(
      cells: samples.count * (ranges.count + 1), height: footage.height, width: footage.width,
      hasTitle: !title.isEmpty, columns: samples.count)
    var cells: [ContactSheet.Cell] = []
    let video = try movie("video")
    for index in 0..<footage.count {
      let frame = footage[index]
      try PNG.write(
        frame, to: transaction.stage(path(Self.frameName(index))), texts: [PNG.Text(RunID.imageKey, id.image)])
      try video.add(frame)
      if samples.contains(index) {
        let shown = frame.resizedImage(height: layout.cellHeight, width: layout.cellWidth, filter: .bicubic)
        cells.append(.init(shown, caption: "frame \(index)", detail: "\(footage.width) x \(footage.height)"))
      }
    }
    try video.finish()
    for (concept, stem) in FileNames.stems(maps.concepts).enumerated() {
      let heatmaps = try movie("heatmap-\(stem)"), overlays = try movie("overlay-\(stem)")
      for index in 0..<footage.count {
        let map = maps.average[footage.mapFrames[index], concept]
        let rendering = rendering(of: map, ranges[concept].range, over: footage[index])
        try heatmaps.add(rendering.heatmap)
        try overlays.add(rendering.overlay)
        if samples.contains(index) { cells.append(cell(rendering, ranges[concept], layout: layout)) }
      }
      try heatmaps.finish()
      try overlays.finish()
    }
    let sheet = ContactSheet(title: title, cells: cells, columns: samples.count).rendered()
    try PNG.write(sheet, to: transaction.stage(path("contact-sheet.png")), texts: [PNG.Text(RunID.key, id.run)])
  }
}

/// One video in the formats it is written in.
private struct MovieFiles {
  private let gif: GIFWriter
  private let gifPath: String
  private let mp4: FFmpeg.Writer?

  /// - Parameter stage: where to write the file of a name
  init(_ names: [String], _ footage: Footage, _ id: RunID, stage: (String) throws -> String) throws {
    let (height, width, rate) = (footage.height, footage.width, footage.framesPerSecond)
    let comment = "\(RunID.key) \(id.run)"
    gif = try GIFWriter(height: height, width: width, framesPerSecond: rate, comment: comment, name: names[0])
    gifPath = try stage(names[0])
    mp4 = try names.dropFirst().first.map { name in
      try FFmpeg().writer(stage(name), height: height, width: width, framesPerSecond: rate, comment: comment)
    }
  }

  func add(_ frame: Tensor) throws {
    try gif.add(frame)
    try mp4?.add(frame)
  }

  func finish() throws {
    try AtomicFile.write(gif.finish(), to: gifPath)
    try mp4?.finish()
  }
}
