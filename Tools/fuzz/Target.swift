// The readers under test, each with valid files to begin with.

import Formats
import Foundation
import Tensor

/// An input that a reader answered wrongly.
struct Finding: Error {
  let target: String
  let reason: String
  let input: [UInt8]
}

/// Bytes of all tensors that were read.
nonisolated(unsafe) var bytesRead = 0

/// A reader: reads everything there is in a file.
struct Target {
  let name: String
  let seeds: [[UInt8]]
  /// Corrects checksums after a mutation, without which a reader looks no further.
  var repair: ([UInt8]) -> [UInt8] = { $0 }
  let read: (MappedFile) throws -> Void

  /// Whether the reader took the bytes; false when it refused them with an error of its format.
  func reads(_ input: [UInt8]) throws -> Bool {
    do {
      try read(MappedFile(contents: input, name: "fuzz"))
      return true
    } catch is SafetensorsError, is NpyError, is NpzError, is GGUFError, is ImageError {
      return false
    } catch {
      throw Finding(target: name, reason: "unexpected error \(error)", input: input)
    }
  }

  static func all(fixtures: String) throws -> [Target] {
    let options = ImageOptions(maximumPixels: 1 << 20)
    return [
      Target(name: "safetensors", seeds: try files(fixtures, ".safetensors", limit: 1 << 13)) { file in
        let opened = try SafetensorsFile(file)
        for name in opened.names { touch(try opened.tensor(name)) }
      },
      Target(name: "npy", seeds: try files(fixtures, ".npy")) { file in touch(try Npy.read(file)) },
      Target(name: "npz", seeds: try files(fixtures, ".npz")) { file in
        let opened = try NpzFile(file)
        for name in opened.names { touch(try opened.tensor(name)) }
      },
      Target(name: "gguf", seeds: try files(fixtures, ".gguf")) { file in
        let opened = try GGUFFile(file)
        for name in opened.names { touch(try opened.tensor(name)) }
      },
      Target(name: "png", seeds: try files(fixtures, ".png") + written(), repair: repairedPNG) { file in
        _ = try Image.read(file, options: options)
        _ = try PNG.read(file, options: options).texts
      },
      Target(name: "jpeg", seeds: try files(fixtures, ".jpg")) { file in
        touch(try Image.read(file, options: options))
      },
    ]
  }

  /// Copies every byte, so that a view beyond its file shows.
  private static func touch(_ tensor: Tensor) {
    bytesRead += tensor.bytes.count
  }

  private static func files(_ folder: String, _ ending: String, limit: Int = 1 << 16) throws -> [[UInt8]] {
    guard let walker = FileManager.default.enumerator(atPath: folder) else {
      throw Usage(reason: "no folder \(folder)")
    }
    var seeds: [[UInt8]] = []
    for case let name as String in walker where name.hasSuffix(ending) {
      let bytes = try MappedFile(path: "\(folder)/\(name)").withBytes { [UInt8]($0) }
      if bytes.count <= limit { seeds.append(bytes) }
    }
    guard !seeds.isEmpty else { throw Usage(reason: "no *\(ending) below \(folder)") }
    return seeds
  }

  /// PNGs of our own writer, without compression, so that mutations reach the filters.
  private static func written() -> [[UInt8]] {
    let pixels = Tensor(scalars: (0..<192).map { UInt8($0) }, shape: [8, 8, 3])
    let texts = [PNG.Text("prompt", "a star ★"), PNG.Text("Title", "t")]
    return (try? PNG.encode(pixels, texts: texts, compressionLevel: 0)).map { [$0] } ?? []
  }
}
