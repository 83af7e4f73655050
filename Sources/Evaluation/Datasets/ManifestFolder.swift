import Foundation
import Models
import Tensor

/// A folder of one's own: `manifest.csv` or `manifest.jsonl` with the columns `picture`, `mask`, `concept` and,
/// if wanted, `value`.
///
/// A row says that a concept is where a mask is above 0, or equal to `value`. Several rows of one picture are painted in
/// their order. A mask with alpha is its alpha. What no row paints is background.
struct ManifestFolder: SegmentationDataset {
  fileprivate struct Row: Sendable, Hashable {
    let line: Int
    let picture, mask, concept: String
    let value: Int?

    /// Where it stands does not tell rows apart.
    static func == (one: Row, other: Row) -> Bool {
      one.picture == other.picture && one.mask == other.mask && one.concept == other.concept && one.value == other.value
    }

    func hash(into hasher: inout Hasher) {
      hasher.combine(picture)
      hasher.combine(mask)
      hasher.combine(concept)
    }
  }

  private struct Entry: Sendable {
    let picture: String
    var rows: [Row] = []
    var fault: DatasetProblem?
  }

  let classes: SegmentationClasses
  let warnings: [String]
  private let folder: DatasetFolder
  private let path: String
  private let entries: [Entry]

  init(_ folder: DatasetFolder) throws {
    self.folder = folder
    path = folder.contains("manifest.csv") || !folder.contains("manifest.jsonl") ? "manifest.csv" : "manifest.jsonl"
    let bytes = try folder.bytes(path)
    let rows = path == "manifest.csv" ? try Self.table(bytes, path) : try Self.objects(bytes, path)
    if rows.isEmpty { throw DatasetProblem(path, "there are no rows, there is nothing to score") }
    let kinds = Set(rows.map(\.row.concept).filter { !$0.isEmpty }).sorted(by: precedes)
    try SegmentationClasses.check(kinds.count, path)
    classes = SegmentationClasses(
      Dictionary(uniqueKeysWithValues: zip(0..., ["background"] + kinds)), background: 0)
    var warnings: [String] = [], places: [String: Int] = [:], entries: [Entry] = [], seen: Set<Row> = []
    for (row, fault) in rows {
      guard seen.insert(row).inserted else {
        warnings.append("\(path), line \(row.line): the row occurs twice; it counts once")
        continue
      }
      let place = places[row.picture] ?? entries.count
      if place == entries.count { entries.append(Entry(picture: row.picture)) }
      places[row.picture] = place
      entries[place].rows.append(row)
      entries[place].fault = entries[place].fault ?? fault ?? Self.fault(row, path)
    }
    self.warnings = warnings
    self.entries = entries
  }

  private static func fault(_ row: Row, _ path: String) -> DatasetProblem? {
    let place = "\(path), line \(row.line)"
    if row.picture.isEmpty { return DatasetProblem(place, "the picture is empty") }
    if row.mask.isEmpty { return DatasetProblem(place, "the mask is empty") }
    if row.concept.isEmpty { return DatasetProblem(place, "the concept is empty") }
    if let outside = [row.picture, row.mask].first(where: DatasetFolder.leadsOut) {
      return DatasetProblem(place, "'\(outside)' leads out of the folder")
    }
    return nil
  }

  var count: Int { entries.count }
  func id(_ index: Int) -> String { entries[index].picture }

  func example(_ index: Int) throws -> SegmentationExample {
    let entry = entries[index]
    if let fault = entry.fault { throw fault }
    let picture = try folder.picture(entry.picture)
    var labels = [Int16](repeating: 0, count: picture.shape[0] * picture.shape[1]), warnings: [String] = []
    let classRows = classes.rows
    for row in entry.rows {
      let mask = try LabelPicture(row.mask, in: folder, takesAlpha: true)
      try mask.check(picture, row.mask)
      let label = Int16(classRows[row.concept] ?? 0)
      var isThere = false
      for (pixel, number) in mask.numbers.enumerated() where row.value.map({ Int(number) == $0 }) ?? (number > 0) {
        labels[pixel] = label
        isThere = true
      }
      if let value = row.value, !isThere {
        warnings.append("\(path), line \(row.line): \(row.mask) has no pixel of value \(value)")
      }
    }
    var example = SegmentationExample(id: entry.picture, picture: picture, labels: labels)
    example.warnings = warnings
    return example
  }
}

// MARK: The two forms of a manifest

extension ManifestFolder {
  private typealias Found = (row: Row, fault: DatasetProblem?)

  private static func table(_ bytes: [UInt8], _ path: String) throws -> [Found] {
    var lines = CommaSeparated.records(bytes)
    guard !lines.isEmpty else { throw DatasetProblem(path, "the file is empty") }
    let head = lines.removeFirst().fields.map { $0.trimmingCharacters(in: .whitespaces) }
    let columns = try ["picture", "mask", "concept"].map { name in
      guard let column = head.firstIndex(of: name) else {
        throw DatasetProblem(path, "there is no column '\(name)', only \(head.joined(separator: ", "))")
      }
      return column
    }
    let valueColumn = head.firstIndex(of: "value")
    return lines.map { line in
      func field(_ column: Int?) -> String {
        column.flatMap { line.fields.indices.contains($0) ? line.fields[$0] : nil } ?? ""
      }
      let value = field(valueColumn).trimmingCharacters(in: .whitespaces)
      let row = Row(
        line: line.number, picture: field(columns[0]), mask: field(columns[1]), concept: field(columns[2]),
        value: Int(value))
      guard value.isEmpty || row.value != nil else {
        return (row, DatasetProblem("\(path), line \(line.number)", "the value '\(value)' is no whole number"))
      }
      return (row, nil)
    }
  }

  private static func objects(_ bytes: [UInt8], _ path: String) throws -> [Found] {
    struct Object: Decodable {
      let picture, mask, concept: String
      let value: Int?
    }
    return try lines(bytes).enumerated().filter { !$0.element.isEmpty }.map { index, text in
      do {
        let object = try JSONDecoder().decode(Object.self, from: Data(text.utf8))
        let row = Row(
          line: index + 1, picture: object.picture, mask: object.mask, concept: object.concept, value: object.value)
        return (row, nil)
      } catch let error as DecodingError {
        throw DatasetProblem("\(path), line \(index + 1)", error.summary)
      }
    }
  }
}

/// Tables as RFC 4180 has them.
enum CommaSeparated {
  struct Record {
    /// Of its first line, from 1.
    let number: Int
    var fields: [String]
  }

  /// Records but for empty lines; a byte order mark, either line end and quoted fields are understood.
  static func records(_ bytes: [UInt8]) -> [Record] {
    let text = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...]
    var records: [Record] = [], field: [UInt8] = [], fields: [String] = []
    var line = 1, start = 1, isQuoted = false, wasQuote = false
    func endField() {
      fields.append(String(decoding: field, as: UTF8.self))
      field = []
    }
    func endRecord() {
      endField()
      if fields != [""] { records.append(Record(number: start, fields: fields)) }
      fields = []
    }
    for byte in text {
      switch byte {
      case UInt8(ascii: "\""):
        if !isQuoted, wasQuote { field.append(byte) }  // a doubled quote
        isQuoted.toggle()
        wasQuote = !isQuoted
        continue
      case UInt8(ascii: ",") where !isQuoted: endField()
      case 0x0D where !isQuoted: break
      case 0x0A where !isQuoted:
        endRecord()
        line += 1
        start = line
      default:
        if byte == 0x0A { line += 1 }
        field.append(byte)
      }
      wasQuote = false
    }
    if !field.isEmpty || !fields.isEmpty { endRecord() }
    return records
  }
}
