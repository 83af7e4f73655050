/// Numbers that need no file and no agreement on a random generator: the same formula stands in the peers' scripts, so
/// that both sides compute on the same values and their results can be compared.
public enum Inputs {
  /// Evenly spread over [-scale, scale), a function of the index alone.
  public static func values(_ count: Int, seed: UInt32, scale: Float = 1) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count { buffer[index] = value(at: index, seed: seed) * scale }
      initialized = count
    }
  }

  /// One of the values, without scale: the finaliser of MurmurHash3 over index and seed; its upper 24 bits as a float in [-1, 1).
  public static func value(at index: Int, seed: UInt32) -> Float {
    var hash = UInt32(truncatingIfNeeded: index) &+ seed &* 0x9E37_79B9
    hash = (hash ^ (hash >> 16)) &* 0x85EB_CA6B
    hash = (hash ^ (hash >> 13)) &* 0xC2B2_AE35
    hash ^= hash >> 16
    return Float(hash >> 8) * 0x1p-23 - 1
  }

  /// Where a result of `count` values is probed.
  public static func probedIndices(_ count: Int, probes: Int = 12) -> [Int] {
    (0..<probes).map { ($0 &* 2_654_435_761 &+ 12_345) % count }
  }
}
