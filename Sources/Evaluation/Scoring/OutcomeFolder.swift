import Formats
import Foundation
import Glibc

/// The outcomes of a run as they come, a line of JSON each, in files that survive the processes that write them: one for
/// each process that takes part.
///
/// A run that ended early leaves whole lines and perhaps a part of one. The next run, of as many processes as it likes,
/// takes over what is whole and does the rest: its totals are those of a run that was never cut off, made by one process.
public struct OutcomeFolder<Line: Codable & Sendable>: Sendable {
  public let path: String
  /// What figures depend on: files of other settings are refused.
  let settings: String
  /// Ids that belong together, in the order of the run: a unit that is not whole is done again.
  let units: [[String]]
  /// Whether what a line says can be: a unit with one that cannot is done again.
  let isSound: @Sendable (Line) -> Bool

  private struct Head: Codable {
    let settings: String
  }

  /// What a line says beside its content: which unit it belongs to, and whose it is.
  private struct Entry: Codable {
    let unit: Int
    let id: String
    let line: Line
  }

  /// - Parameters:
  ///   - path: of the folder, which is there
  ///   - units: ids of pictures
  ///   - isSound: whether what a line says can be: a file may be damaged
  public init(
    _ path: String, settings: String, units: [[String]], isSound: @escaping @Sendable (Line) -> Bool = { _ in true }
  ) {
    self.path = path
    self.isSound = isSound
    self.settings = settings
    self.units = units
  }

  static var stem: String { "pictures" }

  private func file(_ process: Int) -> String {
    "\(path)/\(Self.stem)\(process == 0 ? "" : "-\(process)").jsonl"
  }

  private var files: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.filter { $0.hasPrefix(Self.stem) && $0.hasSuffix(".jsonl") }.sorted(by: precedes).map {
      "\(path)/\($0)"
    }
  }

  /// Gives what earlier runs have left, every unit once.
  ///
  /// - Returns: the units that are done
  /// - Throws: `DatasetProblem` for a file of other settings
  public func takeOver(_ onLine: (_ unit: Int, Line) throws -> Void) throws -> Set<Int> {
    var done: Set<Int> = []
    for path in files {
      try read(path) { unit, lines in
        guard unit < units.count, done.insert(unit).inserted else { return }
        for line in lines { try onLine(unit, line) }
      }
    }
    return done
  }

  /// Removes what runs have left: nothing in it is worth going on from.
  public func discard() { for path in files { unlink(path) } }

  /// Opens the file of a process to go on in.
  ///
  /// - Throws: `DatasetProblem` when another process writes to it or it has other settings, `FileError`
  public func writer(_ process: Int) throws -> OutcomeWriter {
    let path = file(process)
    let writer = try OutcomeWriter(path)
    var length = 0
    try read(path, length: &length) { _, _ in }
    try writer.cut(at: length)
    if length == 0 { try writer.begin(Self.text(Head(settings: settings))) }
    return writer
  }

  /// The lines of a unit as a file has them.
  public func text(_ unit: Int, _ lines: [Line]) throws -> Data {
    try zip(units[unit], lines).reduce(into: Data()) { text, part in
      try text.append(Self.text(Entry(unit: unit, id: part.0, line: part.1)))
    }
  }

  private static func text(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value) + [0x0A]
  }

  private func read(_ path: String, _ onUnit: (Int, [Line]) throws -> Void) throws {
    var length = 0
    try read(path, length: &length, onUnit)
  }

  /// Whole units from the beginning of a file on.
  ///
  /// - Parameter length: the bytes they take
  private func read(_ path: String, length: inout Int, _ onUnit: (Int, [Line]) throws -> Void) throws {
    length = 0
    guard let file = try? MappedFile(path: path), file.count > 0 else { return }
    try file.withBytes { bytes in
      var start = 0, pending: [Line] = []
      while let end = bytes[start...].firstIndex(of: 0x0A) {
        let text = Data(bytes[start..<end]), isHead = start == 0
        start = end + 1
        if isHead {
          guard let head = try? JSONDecoder().decode(Head.self, from: text) else {
            throw DatasetProblem(path, "is no file of results; choose another folder")
          }
          guard head.settings == settings else {
            throw DatasetProblem(
              path, "has results of other settings; choose another folder. Found \(head.settings), expected \(settings)"
            )
          }
          length = start
          continue
        }
        // Units beyond this run's are those of one with more pictures.
        guard let entry = try? JSONDecoder().decode(Entry.self, from: text), entry.unit >= 0,
          entry.unit >= units.count || entry.id == units[entry.unit].dropFirst(pending.count).first,
          isSound(entry.line)
        else { return }
        if entry.unit >= units.count {
          length = start
          continue
        }
        pending.append(entry.line)
        guard pending.count == units[entry.unit].count else { continue }
        try onUnit(entry.unit, pending)
        (pending, length) = ([], start)
      }
    }
  }
}

/// A file that lines are added to, by one process at a time. One that nothing was added to goes again.
public final class OutcomeWriter {
  public let path: String
  private let descriptor: CInt
  private var isBare = false

  fileprivate init(_ path: String) throws {
    self.path = path
    try AtomicFile.check(path)  // a pipe that nobody reads would take lines until it is full
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError("write", path, code: errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
      close(descriptor)
      throw DatasetProblem(path, "another run is writing to it")
    }
  }

  deinit {
    if isBare { unlink(path) }
    close(descriptor)
  }

  fileprivate func begin(_ head: Data) throws {
    isBare = true
    try add(head)
  }

  fileprivate func cut(at length: Int) throws {
    guard ftruncate(descriptor, off_t(length)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else {
      throw FileError("write", path, code: errno)
    }
  }

  /// Adds whole lines.
  public func append(_ text: Data) throws {
    try add(text)
    isBare = false
  }

  private func add(_ text: Data) throws {
    try text.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count, let base = bytes.baseAddress {
        let count = write(descriptor, base + done, bytes.count - done)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw FileError("write", path, code: count == 0 ? ENOSPC : errno) }
        done += count
      }
    }
  }
}

/// What became of a picture, as a line.
public struct OutcomeLine: Codable, Sendable {
  var scores: PictureScores?
  var warnings: [String]?
  var skipped, leftOut: String?

  public init(_ outcome: PictureOutcome) {
    switch outcome {
    case .scored(let scores, _): self.scores = scores
    case .skipped(_, let reason, _): skipped = reason
    case .leftOut(_, let reason, _): leftOut = reason
    }
    warnings = outcome.warnings.isEmpty ? nil : outcome.warnings
  }

  /// Whether these can be counts of a picture, of a data set with so many classes.
  public func isSound(classes: Int) -> Bool { scores?.areSound(classes: classes) ?? true }

  /// - Parameter id: of the picture
  public func outcome(_ id: String) -> PictureOutcome {
    let warnings = warnings ?? []
    if let scores { return .scored(scores, warnings: warnings) }
    if let leftOut { return .leftOut(id: id, reason: leftOut, warnings: warnings) }
    return .skipped(id: id, reason: skipped ?? "", warnings: warnings)
  }
}
