// The readers of files of tensors and pictures.

import Formats
import Models
import Tensor

/// Bytes of all tensors that were read.
nonisolated(unsafe) var bytesRead = 0

extension Target {
  static var formats: [Target] {
    let options = ImageOptions(maximumPixels: 1 << 20)
    return [
      Target(name: "safetensors") { file in
        let opened = try SafetensorsFile(file)
        for name in opened.names { touch(try opened.tensor(name)) }
      },
      Target(name: "safetensors-index") { file in
        _ = try file.withBytes { try ShardedSafetensors.weightMap($0, path: file.path) }
      },
      Target(name: "npy") { file in touch(try Npy.read(file)) },
      Target(name: "npz") { file in
        let opened = try NpzFile(file)
        for name in opened.names { touch(try opened.tensor(name)) }
      },
      Target(name: "gguf") { file in
        let opened = try GGUFFile(file)
        for name in opened.names { touch(try opened.tensor(name)) }
      },
      Target(name: "png", seeds: written, repair: repairedPNG) { file in
        _ = try Image.read(file, options: options)
        _ = try PNG.read(file, options: options).texts
      },
      Target(name: "jpeg") { file in touch(try Image.read(file, options: options)) },
      Target(name: "gif") { file in touch(try GIF.read(file, options: options, most: 64).frames) },
      Target(name: "matlab") { file in
        let opened = try MATLABFile(file)
        for name in opened.names { touch(try opened.tensor(name)) }
      },
    ]
  }

  /// Copies every byte, so that a view beyond its file shows.
  private static func touch(_ tensor: Tensor) {
    bytesRead += tensor.bytes.count
  }

  /// PNGs of our own writer, without compression, so that mutations reach the filters.
  private static var written: [[UInt8]] {
    let pixels = Tensor(scalars: (0..<192).map { UInt8($0) }, shape: [8, 8, 3])
    let texts = [PNG.Text("prompt", "a star ★"), PNG.Text("Title", "t")]
    return (try? PNG.encode(pixels, texts: texts, compressionLevel: 0)).map { [$0] } ?? []
  }
}
