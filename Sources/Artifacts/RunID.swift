import ConceptAttention
import Formats
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
