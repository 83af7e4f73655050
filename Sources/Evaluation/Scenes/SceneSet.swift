import Formats
import Foundation
import Models
import Tensor

/// Pictures or videos with exact masks, and how to run a model on them: a folder with `manifest.json` (what is in them),
/// `evaluation.json` (prompts, concepts, noise) and the pictures and masks these name. A video and its masks are two
/// folders, each with a PNG per frame, which belong together in the order of their names.
public struct SceneSet: Sendable {
  public let scenes: [Scene]
  /// How much noise each picture is shown with, each more than 0 and at most 1.
  public let noiseLevels: [Double]
  /// Whether the noise of a seed is drawn for packed tokens, as FLUX takes latents, which is how the reference's figures
  /// were made; a model that packs nothing draws it in its latents' own shape either way.
  public let drawsPackedNoise: Bool
  /// Tokens of prompts and concepts, padding included.
  public let maxSequenceLength: Int
  /// Concepts that are things rather than backgrounds, scored once more on their own.
  public let objectNames: Set<String>

  public struct Scene: Sendable {
    /// Of the picture's file, or of the folder with a video's frames.
    public let name: String
    /// `u8`, `[frames, height, width, 3]`; a picture is a video of one frame.
    public let frames: Tensor
    public let prompt: String
    /// Those in the picture and distractors that are not.
    public let concepts: [String]
    public let noiseSeed: UInt64
    /// The words in the picture, by the number that their pixels have in `labels`.
    public let words: [Int: String]
    /// Numbers of labels by frame, row-major, as many as the frame has pixels.
    public let labels: [[UInt8]]

    public var size: FrameSize { FrameSize(frames: frames.shape[0], height: frames.shape[1], width: frames.shape[2]) }
  }

  /// - Throws: `SceneSetError` naming the file and what is wrong with it
  public init(folder: String) throws {
    let manifest = try SceneSet.decode(Manifest.self, "\(folder)/manifest.json")
    let path = "\(folder)/evaluation.json"
    let evaluation = try SceneSet.decode(Evaluation.self, path)
    try evaluation.check(path)
    noiseLevels = evaluation.noise_levels
    drawsPackedNoise = evaluation.noise_shape != nil
    maxSequenceLength = evaluation.max_sequence_length
    objectNames = Set(manifest.object_names)
    let entries = Dictionary(manifest.scenes.map { ($0.name, $0) }) { first, _ in first }
    scenes = try evaluation.scenes.map { run in
      guard let entry = entries[run.name] else { throw SceneSetError(path, .unknownScene(run.name)) }
      return try Scene(run, entry, manifest, folder: folder)
    }
  }

  private static func decode<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value {
    let file: MappedFile
    do { file = try MappedFile(path: path) } catch { throw SceneSetError(path, .missingFile) }
    return try decode(type, file)
  }

  private static func decode<Value: Decodable>(_ type: Value.Type, _ file: MappedFile) throws -> Value {
    let path = file.path
    guard file.count <= 1 << 26 else { throw SceneSetError(path, .badJSON("\(file.count) bytes, expected fewer")) }
    do {
      return try JSONDecoder().decode(type, from: file.withBytes { Data($0) })
    } catch let error as DecodingError {
      throw SceneSetError(path, .badJSON(error.summary))
    }
  }
}

extension SceneSet {
  /// Reads `manifest.json` and `evaluation.json` without the pictures that they name.
  ///
  /// - Throws: `SceneSetError`
  package static func check(manifest: MappedFile, evaluation: MappedFile) throws {
    _ = try decode(Manifest.self, manifest)
    try decode(Evaluation.self, evaluation).check(evaluation.path)
  }
}

extension SceneSet.Scene {
  fileprivate init(
    _ run: SceneSet.Evaluation.Run, _ entry: SceneSet.Manifest.Entry, _ manifest: SceneSet.Manifest, folder: String
  ) throws {
    let files = try SceneFiles(entry.name, masks: entry.mask, isVideo: entry.isVideo, folder: folder)
    (frames, labels) = try files.read(labelCount: manifest.label_names.count)
    var words: [Int: String] = [:]
    for (key, word) in entry.words {
      guard let number = Int(key), manifest.label_names.indices.contains(number),
        manifest.label_names[number] == word
      else {
        throw SceneSetError("\(folder)/manifest.json", .badValue("\(run.name): '\(word)' is not label \(key)"))
      }
      words[number] = word
    }
    name = run.name
    prompt = run.prompt
    concepts = run.concepts
    noiseSeed = run.noise_seed
    self.words = words
  }
}

// MARK: Files

extension SceneSet {
  fileprivate struct Manifest: Decodable {
    /// `image` and `mask` are files, `frames` and `masks` folders.
    struct Entry: Decodable {
      let name, mask: String
      let isVideo: Bool
      let words: [String: String]

      private enum CodingKeys: String, CodingKey { case image, mask, frames, masks, words }

      init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        isVideo = values.contains(.frames)
        name = try values.decode(String.self, forKey: isVideo ? .frames : .image)
        mask = try values.decode(String.self, forKey: isVideo ? .masks : .mask)
        words = try values.decode([String: String].self, forKey: .words)
      }
    }
    let label_names, object_names: [String]
    let scenes: [Entry]
  }

  fileprivate struct Evaluation: Decodable {
    struct Run: Decodable {
      let name, prompt: String
      let concepts: [String]
      let noise_seed: UInt64

      private enum CodingKeys: String, CodingKey { case image, frames, prompt, concepts, noise_seed }

      init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.decode(String.self, forKey: values.contains(.frames) ? .frames : .image)
        prompt = try values.decode(String.self, forKey: .prompt)
        concepts = try values.decode([String].self, forKey: .concepts)
        noise_seed = try values.decode(UInt64.self, forKey: .noise_seed)
      }
    }
    let noise_levels: [Double]
    /// `[1, tokens, channels]`, what noise was drawn for; absent for the latents' own shape.
    let noise_shape: [Int]?
    let max_sequence_length: Int
    let scenes: [Run]

    func check(_ path: String) throws {
      func fail(_ text: String) -> SceneSetError { SceneSetError(path, .badValue(text)) }
      if scenes.isEmpty { throw fail("no scenes") }
      guard !noise_levels.isEmpty, noise_levels.allSatisfy({ $0 > 0 && $0 <= 1 }) else {
        throw fail("noise_levels \(noise_levels): expected some, each more than 0 and at most 1")
      }
      if let noise_shape,
        noise_shape.count != 3 || noise_shape[0] != 1 || !noise_shape.allSatisfy((1...1 << 24).contains)
      {
        throw fail("noise_shape \(noise_shape): expected [1, tokens, channels]")
      }
      guard (1...1 << 16).contains(max_sequence_length) else {
        throw fail("max_sequence_length \(max_sequence_length)")
      }
      for run in scenes {
        guard !run.concepts.isEmpty, Set(run.concepts).count == run.concepts.count else {
          throw fail("\(run.name): expected concepts, each once, found \(run.concepts)")
        }
      }
    }
  }
}

/// Something wrong with a folder of scenes: which file, and what.
public struct SceneSetError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    case missingFile
    case badJSON(String)
    case badValue(String)
    case badPicture(String)
    case badMask(String)
    /// A video's folder without frames, or with more than a video may have, or than it has masks.
    case badFrames(String)
    /// `evaluation.json` names a picture that `manifest.json` does not.
    case unknownScene(String)
    /// The scenes do not fit the model.
    case unsuitable(String)
  }

  public let path: String
  public let problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String {
    switch problem {
    case .missingFile: "\(path): no such file"
    case .badJSON(let reason), .badValue(let reason), .badFrames(let reason), .unsuitable(let reason):
      "\(path): \(reason)"
    case .badPicture(let reason): "\(path): unreadable picture: \(reason)"
    case .badMask(let reason): "\(path): not a mask of labels: \(reason)"
    case .unknownScene(let name): "\(path): '\(name)' is not in manifest.json"
    }
  }
}
