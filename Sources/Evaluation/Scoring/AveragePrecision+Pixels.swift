/// Average precision over many pixels: sorted by their bits, in linear time.
///
/// The same number as `averagePrecision(scores:positives:)` gives for scores in double precision.
///
/// - Parameters:
///   - scores: finite; higher means more likely
///   - positives: 1 where the truth is positive, else 0; as many as `scores`
/// - Returns: 0 … 1; 0 when nothing is positive
func averagePrecision(ranking scores: [Double], positives: [UInt8]) -> Double {
  let count = scores.count
  // Bits whose order as whole numbers is that of the scores, falling.
  var keys = scores.map { score in
    let bits = (score + 0).bitPattern  // minus zero is zero
    return ~(bits ^ (bits >> 63 == 0 ? 1 << 63 : ~0))
  }
  var marks = positives
  var otherKeys = [UInt64](repeating: 0, count: count), otherMarks = [UInt8](repeating: 0, count: count)
  for shift in stride(from: 0, to: 64, by: 16) {
    var starts = [Int](repeating: 0, count: 1 << 16)
    for key in keys { starts[Int(key >> shift & 0xFFFF)] += 1 }
    if starts.contains(count) { continue }  // all alike in these bits
    var start = 0
    for digit in starts.indices {
      let size = starts[digit]
      starts[digit] = start
      start += size
    }
    for index in 0..<count {
      let digit = Int(keys[index] >> shift & 0xFFFF), place = starts[digit]
      starts[digit] = place + 1
      otherKeys[place] = keys[index]
      otherMarks[place] = marks[index]
    }
    swap(&keys, &otherKeys)
    swap(&marks, &otherMarks)
  }
  return averagePrecision(sorted: keys, marks)
}

private func averagePrecision(sorted keys: [UInt64], _ marks: [UInt8]) -> Double {
  let total = marks.reduce(0) { $0 + Int($1) }
  guard total > 0 else { return 0 }
  var found = 0, foundBefore = 0, result = 0.0
  for rank in keys.indices {
    found += Int(marks[rank])
    guard rank + 1 == keys.count || keys[rank + 1] != keys[rank], found != foundBefore else { continue }
    result += Double(found - foundBefore) / Double(total) * (Double(found) / Double(rank + 1))
    foundBefore = found
  }
  return result
}
