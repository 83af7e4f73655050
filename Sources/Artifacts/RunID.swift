import ConceptAttention
import Tensor

/// Tells which run a file is of: a number made of what the run found, so that the same run gives the same files again.
///
/// `metadata.json` (and the report) has it as `run_id`, heatmaps, overlays and the contact sheet as text of that name,
/// `maps.safetensors` among its metadata, `maps.npz` as an array of ASCII bytes. `image.png` has `image_id`, which depends on
/// the pixels alone, as does `image_id` of `metadata.json`: looking at a picture in another way does not change its file.
public struct RunID: Sendable, Equatable {
  /// Of the picture and its maps, 32 hexadecimal digits.
  public let run: String
  /// Of the picture.
  public let image: String

  static let imageKey = "image_id"
  public static let key = "run_id"

  /// Of the folder of one picture or video.
  ///
  /// - Parameter frames: `[frames, height, width, 3]`
  init(_ frames: Tensor, _ maps: RunMaps) {
    var hash = ContentHash()
    hash.add(frames)
    self.image = hash.text
    for concept in maps.concepts { hash.add(concept) }
    for name in maps.names {
      hash.add(name)
      if let map = maps.tensors[name] { hash.add(map) }
    }
    run = hash.text
  }

  /// Of several pictures or videos together; that of its folder for a single one.
  public init(_ footage: [Footage], _ maps: SaliencyMaps) {
    let ids = footage.enumerated().map { RunID($1.frames, RunMaps(maps, picture: $0)) }
    var hash = ContentHash()
    for id in ids { hash.add(id.run) }
    (run, image) = ids.count == 1 ? (ids[0].run, ids[0].image) : (hash.text, hash.text)
  }
}

/// FNV-1a twice, with different beginnings: to tell files apart, not to prove anything.
private struct ContentHash {
  private var low: UInt64 = 0xcbf2_9ce4_8422_2325, high: UInt64 = 0x6c62_272e_07bb_0142

  mutating func add(_ tensor: Tensor) {
    add("\(tensor.dtype)\(tensor.shape)")
    tensor.bytes.withUnsafeBytes { bytes in
      // Eight bytes at a time: pictures have millions.
      let words = bytes.count / 8
      for word in 0..<words { mix(bytes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self).littleEndian) }
      for byte in bytes[(words * 8)...] { mix(UInt64(byte)) }
    }
  }

  mutating func add(_ text: String) {
    for byte in text.utf8 { mix(UInt64(byte)) }
    mix(0x100)
  }

  private mutating func mix(_ value: UInt64) {
    low = (low ^ value) &* 0x100_0000_01b3
    // A multiplication carries upwards only.
    low ^= low >> 32
    high = (high ^ value.byteSwapped) &* 0x9e37_79b9_7f4a_7c15
    high ^= high >> 29
  }

  var text: String { hexadecimal(low) + hexadecimal(high) }

  private func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
