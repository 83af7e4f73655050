import Evaluation
import Formats
import Foundation

/// The folder of an evaluation: looked through before anything is computed, kept from other runs, and given its tables
/// together when all of them are there. What has been counted of each picture is added there as it comes.
final class EvaluationFolder {
  private let path: String
  private let transaction = FileTransaction()
  private let isShared: Bool
  private let lock: FolderLock

  /// - Throws: `FileError` for a folder or file that cannot be written, or while another run is at work in the folder
  init(_ evaluation: MethodEvaluation) throws {
    path = evaluation.output
    isShared = evaluation.team.isShared
    try Self.make(path, isShared ? nil : transaction)
    // The processes that share a run let each other in.
    lock = try FolderLock(path, isShared: isShared)
    var names = evaluation.ablations.map { (path(of: $0), ResultTable.fileNames) }
    names.append((path, ResultTable.fileNames + ["protocol.json"]))
    if !evaluation.faithfulness.isEmpty {
      names.append((faithfulness, FaithfulnessTable.fileNames(evaluation.faithfulness)))
    }
    for (folder, names) in names {
      try make(folder)
      if !isShared { FileTransaction.removeLeftovers(in: folder) }
      for name in names { try AtomicFile.check("\(folder)/\(name)") }
    }
    for method in evaluation.methods { try make("\(path)/\(Self.name(method.name))") }
    if let maps = evaluation.saveMaps { try make(maps) }
    _ = try AtomicFile(path: "\(path)/protocol.json")
  }

  func path(of ablation: Ablation) -> String { "\(path)/ablation-\(ablation.rawValue)" }

  var faithfulness: String { "\(path)/faithfulness" }

  /// What a method or setting is called as a folder.
  static func name(_ name: String) -> String {
    String(name.map { $0.isLetter || $0.isNumber || "._-".contains($0) ? $0 : "-" })
  }

  /// Makes a folder, which goes again if nothing comes into it; unless others may be about to write there.
  func make(_ folder: String) throws { try Self.make(folder, isShared ? nil : transaction) }

  private static func make(_ folder: String, _ transaction: FileTransaction?) throws {
    if let transaction { return try transaction.makeFolder(folder) }
    let folders = FileTransaction()
    try folders.makeFolder(folder)
    try folders.commit()
  }

  /// Gives the folder all tables of a run, and prints them.
  ///
  /// - Throws: `Interrupted` when the program was asked to end before, `FileError`
  func put(_ tables: [(folder: String, table: any TableFiles)], _ rules: EvaluationProtocol) throws {
    let run = evaluationRunID(rules, tables.map(\.table))
    func stage(_ text: String, _ path: String) throws {
      try AtomicFile.write(Array(text.utf8), to: transaction.stage(path))
    }
    for (folder, table) in tables {
      for file in table.files(run: run) { try stage(file.text, "\(folder)/\(file.name)") }
    }
    try stage("\(rules.json)\n", "\(path)/protocol.json")
    try withoutInterrupts { try transaction.commit() }
    for (folder, table) in tables {
      print(table.overview)
      print("\(folder)/report.html")
    }
  }
}
