// Seeded changes to valid files: few bits, interesting numbers, moved and repeated pieces, cuts, other files' pieces.

/// A small generator whose sequence depends on nothing but its seed (Steele, Lea and Flood 2014).
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// One, two, four or eight random changes. Half of them fall into the first 256 bytes, where headers are.
func mutated(_ seed: [UInt8], _ others: [[UInt8]], _ generator: inout SplitMix64) -> [UInt8] {
  var bytes = seed
  for _ in 0..<(1 << Int.random(in: 0...3, using: &generator)) {
    guard !bytes.isEmpty else { return bytes }
    let reach = Bool.random(using: &generator) ? min(bytes.count, 256) : bytes.count
    let place = Int.random(in: 0..<reach, using: &generator)
    switch Int.random(in: 0..<9, using: &generator) {
    case 0, 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 2: bytes[place] = UInt8.random(in: 0...255, using: &generator)
    case 3: overwrite(&bytes, place, interestingNumber(&generator))
    case 4: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...16, using: &generator)))
    case 5: bytes.insert(contentsOf: piece(bytes, &generator), at: place)
    case 6: overwrite(&bytes, place, piece(others.randomElement(using: &generator) ?? bytes, &generator))
    case 7: changeDigit(&bytes, from: place, &generator)
    default: if Int.random(in: 0..<4, using: &generator) == 0 { bytes.removeSubrange(place...) }
    }
  }
  return bytes
}

private func overwrite(_ bytes: inout [UInt8], _ place: Int, _ new: [UInt8]) {
  let count = min(new.count, bytes.count - place)
  bytes.replaceSubrange(place..<place + count, with: new[..<count])
}

private func piece(_ bytes: [UInt8], _ generator: inout SplitMix64) -> [UInt8] {
  guard !bytes.isEmpty else { return [] }
  let start = Int.random(in: 0..<bytes.count, using: &generator)
  return Array(bytes[start..<min(bytes.count, start + Int.random(in: 1...32, using: &generator))])
}

/// A number at the edge of some type, in one to eight bytes of either order.
private func interestingNumber(_ generator: inout SplitMix64) -> [UInt8] {
  let edges: [UInt64] = [
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000,
    1 << 40, 1 << 48, 1 << 61, 1 << 62, .max >> 1, 1 << 63, .max - 7, .max,
  ]
  let value = edges.randomElement(using: &generator) ?? 0
  let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 8
  let bytes = (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
  return Bool.random(using: &generator) ? bytes : bytes.reversed()
}

/// Replaces the next ASCII digit: numbers of text headers change without their syntax.
private func changeDigit(_ bytes: inout [UInt8], from place: Int, _ generator: inout SplitMix64) {
  guard let found = bytes[place...].firstIndex(where: { (0x30...0x39).contains($0) }) else { return }
  bytes[found] = UInt8.random(in: 0x30...0x39, using: &generator)
}

/// The file with the right checksum behind every chunk whose length is within the file.
func repairedPNG(_ bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  var place = 8
  while place + 12 <= bytes.count {
    let length = bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
    guard length <= bytes.count - place - 12 else { break }
    let end = place + 8 + length
    let checksum = crc32(bytes[place + 4..<end])
    for index in 0..<4 { bytes[end + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(24 - index * 8)) }
    place = end + 4
  }
  return bytes
}

private let crcTable: [UInt32] = (0..<256).map { index in
  (0..<8).reduce(UInt32(index)) { value, _ in value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0) }
}

private func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
  ~bytes.reduce(UInt32.max) { value, byte in value >> 8 ^ crcTable[Int((value ^ UInt32(byte)) & 0xFF)] }
}
