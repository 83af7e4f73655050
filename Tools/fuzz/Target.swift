// A reader under test, with valid files to begin with.

import Artifacts
import ConceptAttention
import Evaluation
import Explorer
import Formats
import Foundation
import Models
import NN
import Tensor
import Tokenizers

/// An input that a reader answered wrongly.
struct Finding: Error {
  let target: String
  let reason: String
  let input: [UInt8]
}

/// A reader: reads everything there is in a file.
struct Target {
  let name: String
  var seeds: [[UInt8]] = []
  /// Corrects checksums after a mutation, without which a reader looks no further.
  var repair: ([UInt8]) -> [UInt8] = { $0 }
  let read: (MappedFile) throws -> Void

  struct Answer {
    let isAccepted: Bool
    /// What was said, without the numbers: tells one answer from another.
    let kind: [UInt8]
  }

  /// - Throws: `Finding` for an error that is not one of the formats'
  func answer(to input: [UInt8]) throws -> Answer {
    do {
      try read(MappedFile(contents: input, name: "fuzz"))
      return Answer(isAccepted: true, kind: [])
    } catch let missing as WeightReport {
      // A configuration of which a model could be made, if there were weights.
      return Answer(isAccepted: true, kind: Array("\(missing)".utf8.prefix(120)))
    } catch {
      guard Self.isExpected(error) else {
        throw Finding(target: name, reason: "unexpected error \(error)", input: input)
      }
      let kind = "\(error)".utf8.prefix(120).filter { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      return Answer(isAccepted: false, kind: kind)
    }
  }

  private static func isExpected(_ error: any Error) -> Bool {
    switch error {
    case is SafetensorsError, is NpyError, is NpzError, is GGUFError, is ImageError, is MATLABError, is TokenizerError,
      is ModelError, is LoRAError, is SchedulerError, is WeightReport, is SparseAutoencoderError, is SceneSetError,
      is DatasetProblem, is MapProblem, is SavedGeneration.Problem, is SaliencyError, is RequestError, is Refusal:
      true
    default: false
    }
  }

  /// All readers, each with the files of its folder.
  ///
  /// - Parameters:
  ///   - fixtures: data sets in folders
  ///   - work: for readers that open files by their names
  static func all(corpus: String, fixtures: String, work: WorkFolder) throws -> [Target] {
    let targets =
      try formats + tokenizers(corpus) + configurations + weights(work) + scenes(corpus) + settings
      + datasets(fixtures, work) + results(fixtures, work) + runs(work)
    return try targets.map { target in
      var target = target
      target.seeds += try files("\(corpus)/\(target.name)").map(\.bytes)
      return target
    }
  }

  /// The files of a folder, in order of name.
  static func files(_ folder: String) throws -> [(name: String, bytes: [UInt8])] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder), !names.isEmpty else {
      throw Usage(reason: "no files in \(folder)")
    }
    return try names.sorted().map { ($0, try MappedFile(path: "\(folder)/\($0)").withBytes { [UInt8]($0) }) }
  }
}
