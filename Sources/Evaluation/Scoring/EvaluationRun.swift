import Formats
import Foundation

/// What has come of a run so far: totals, resampled totals, and what could not be scored.
public struct EvaluationState: Sendable {
  public let classes: SegmentationClasses
  public private(set) var totals: SegmentationTotals
  public private(set) var bootstrap: Bootstrap
  /// Pictures that could not be scored, and why.
  public private(set) var skipped: [(id: String, reason: String)] = []
  /// Pictures that the protocol does not take.
  public private(set) var leftOut = 0

  public init(_ classes: SegmentationClasses) {
    self.classes = classes
    totals = SegmentationTotals(classes)
    bootstrap = Bootstrap(classes)
  }

  public mutating func add(_ outcome: PictureOutcome) {
    switch outcome {
    case .scored(let scores, _):
      totals.add(scores)
      bootstrap.add(scores)
    case .skipped(let id, let reason): skipped.append((id, reason))
    case .leftOut: leftOut += 1
    }
  }

  /// Every figure with its interval.
  public var metrics: JSONText {
    .object(
      SegmentationMetric.allCases.compactMap { metric in
        guard let value = totals[metric] else { return nil }
        var members: [(String, JSONText)] = [("value", .number(value))]
        if let interval = bootstrap.interval(metric) {
          members.append(("interval95", .list([.number(interval.lowerBound), .number(interval.upperBound)])))
        }
        if let note = metric.note { members.append(("note", .text(note))) }
        return (metric.rawValue, .object(members))
      })
  }
}

/// The outcomes of a run as they come, a line of JSON each, in a file that survives the process that writes it.
///
/// A run that ended early leaves whole lines and perhaps a part of one. The next run cuts that off, takes over what is
/// whole, and goes on: its totals are those of a run that was never cut off.
public final class OutcomeFile {
  public let path: String
  private let handle: FileHandle

  /// What a line says.
  private struct Line: Codable {
    var id: String
    var scores: PictureScores?
    var warnings: [String]?
    var skipped: String?
    var leftOut: String?
  }

  private struct Head: Codable {
    let settings: String
  }

  /// Opens the file and takes over what an earlier run has left in it.
  ///
  /// - Parameters:
  ///   - settings: of the run; a file of other settings is refused
  ///   - classes: of the data set: lines whose counts cannot be of them are not taken over
  ///   - units: ids that belong together, in the order of the run: a unit that is not whole is done again
  ///   - onOutcome: is given what was done before
  /// - Returns: how many units were done
  /// - Throws: `DatasetProblem` for a file of other settings, `FileError` when it cannot be written
  public static func open(
    _ path: String, settings: String, classes: SegmentationClasses, units: [[String]],
    onOutcome: (PictureOutcome) throws -> Void
  ) throws -> (file: OutcomeFile, done: Int) {
    var done = 0, keep = 0
    if FileManager.default.fileExists(atPath: path) {
      let file = try MappedFile(path: path)
      (done, keep) = try file.withBytes { try taken($0, path, settings, classes.count, units, onOutcome) }
    }
    let file = try OutcomeFile(path, length: keep)
    if keep == 0 { try file.append(Head(settings: settings)) }
    return (file, done)
  }

  private init(_ path: String, length: Int) throws {
    self.path = path
    if !FileManager.default.fileExists(atPath: path) { try AtomicFile.write([], to: path) }
    guard let handle = FileHandle(forUpdatingAtPath: path) else { throw DatasetProblem(path, "cannot be written") }
    self.handle = handle
    try Self.writing(path) {
      try handle.truncate(atOffset: UInt64(length))
      try handle.seekToEnd()
    }
  }

  /// With the system's reason in place of Foundation's.
  private static func writing(_ path: String, _ body: () throws -> Void) throws {
    do { try body() } catch {
      let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
      throw FileError("write", path, code: Int32(clamping: underlying?.code ?? Int(EIO)))
    }
  }

  deinit { try? handle.close() }

  /// Adds the outcomes of a unit.
  public func append(_ outcomes: [PictureOutcome]) throws {
    let lines = outcomes.map { outcome in
      switch outcome {
      case .scored(let scores, let warnings):
        Line(id: scores.id, scores: scores, warnings: warnings.isEmpty ? nil : warnings)
      case .skipped(let id, let reason): Line(id: id, skipped: reason)
      case .leftOut(let id, let reason): Line(id: id, leftOut: reason)
      }
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var bytes = Data()
    for line in lines { bytes += try encoder.encode(line) + [0x0A] }
    try Self.writing(path) { try handle.write(contentsOf: bytes) }
  }

  private func append(_ head: Head) throws {
    let line = try JSONEncoder().encode(head) + [0x0A]
    try Self.writing(path) { try handle.write(contentsOf: line) }
  }

  /// Whole units at the beginning of a file.
  ///
  /// - Returns: how many, and the bytes they take
  private static func taken(
    _ bytes: UnsafeRawBufferPointer, _ path: String, _ settings: String, _ classes: Int, _ units: [[String]],
    _ onOutcome: (PictureOutcome) throws -> Void
  ) throws -> (done: Int, length: Int) {
    var start = 0, kept = 0, done = 0, pending: [PictureOutcome] = [], isFirst = true
    while let end = bytes[start...].firstIndex(of: 0x0A) {
      let text = Data(bytes[start..<end])
      start = end + 1
      if isFirst {
        guard let head = try? JSONDecoder().decode(Head.self, from: text) else { return (0, 0) }
        guard head.settings == settings else {
          throw DatasetProblem(
            path, "has results of other settings; choose another folder. Found \(head.settings), expected \(settings)")
        }
        (isFirst, kept) = (false, start)
        continue
      }
      guard done < units.count, let line = try? JSONDecoder().decode(Line.self, from: text),
        line.id == units[done][pending.count], line.scores?.areSound(classes: classes) ?? true
      else { break }
      if let scores = line.scores {
        pending.append(.scored(scores, warnings: line.warnings ?? []))
      } else if let reason = line.leftOut {
        pending.append(.leftOut(id: line.id, reason: reason))
      } else {
        pending.append(.skipped(id: line.id, reason: line.skipped ?? ""))
      }
      guard pending.count == units[done].count else { continue }
      try pending.forEach(onOutcome)
      (pending, kept, done) = ([], start, done + 1)
    }
    return (done, kept)
  }
}
