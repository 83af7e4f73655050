/// The 32-bit Mersenne Twister MT19937, seeded as PyTorch seeds it.
///
/// Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998).
struct MersenneTwister: Sendable, Equatable {
  private static let size = 624
  private static let middle = 397

  private var state: [UInt32]
  /// The next word of `state` to hand out; `size` when all are used.
  private var position = MersenneTwister.size

  init(seed: UInt32) {
    state = [seed]
    state.reserveCapacity(Self.size)
    for index in 1..<UInt32(Self.size) {
      let last = state[Int(index) - 1]
      state.append(1_812_433_253 &* (last ^ (last >> 30)) &+ index)
    }
  }

  mutating func next() -> UInt32 {
    if position == Self.size { refill() }
    defer { position += 1 }
    return Self.tempered(state[position])
  }

  /// Two draws as one number, the first in the upper half.
  mutating func next64() -> UInt64 {
    let high = next()
    return UInt64(high) << 32 | UInt64(next())
  }

  /// Calls `body` with 0, 1, … and one draw each.
  @inline(__always)
  mutating func draw(_ count: Int, _ body: (Int, UInt32) -> Void) {
    var done = 0
    while done < count {
      if position == Self.size { refill() }
      let run = min(count - done, Self.size - position), start = position
      state.withUnsafeBufferPointer { words in
        for step in 0..<run { body(done + step, Self.tempered(words[start + step])) }
      }
      done += run
      position += run
    }
  }

  private static func tempered(_ word: UInt32) -> UInt32 {
    var y = word
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C_5680
    y ^= (y << 15) & 0xEFC6_0000
    return y ^ (y >> 18)
  }

  private mutating func refill() {
    state.withUnsafeMutableBufferPointer { words in
      func twist(_ index: Int, _ following: Int, _ source: Int) {
        let mixed = (words[index] & 0x8000_0000) | (words[following] & 0x7FFF_FFFF)
        words[index] = words[source] ^ (mixed >> 1) ^ (words[following] & 1 == 0 ? 0 : 0x9908_B0DF)
      }
      for index in 0..<(Self.size - Self.middle) { twist(index, index + 1, index + Self.middle) }
      for index in (Self.size - Self.middle)..<(Self.size - 1) {
        twist(index, index + 1, index + Self.middle - Self.size)
      }
      twist(Self.size - 1, 0, Self.middle - 1)
    }
    position = 0
  }
}
