// All pieces of a vocabulary that a text starts with, in one walk.

/// A byte trie over the pieces of a vocabulary. Children lie side by side, sorted by byte.
struct PieceTrie: Sendable {
  /// The byte that leads to each node; unused for the root, node 0.
  private var labels: [UInt8] = [0]
  /// The piece that ends at each node, or -1.
  private var ids: [Int32] = [-1]
  /// The children of node n are nodes `firstChild[n]..<firstChild[n + 1]`.
  private var firstChild: [Int32] = []

  /// - Parameter pieces: of equal pieces the last keeps its index as id; empty ones are never found
  init(_ pieces: [String]) {
    let keys = pieces.map { Array($0.utf8) }
    let order = keys.indices.sorted { left, right in
      if keys[left] == keys[right] { return left < right }
      return keys[left].lexicographicallyPrecedes(keys[right])
    }
    // Nodes are made level by level; each waits with the sorted keys that run through it.
    var waiting: [(keys: Range<Int>, depth: Int)] = [(order.indices, 0)]
    var node = 0
    while node < waiting.count {
      let (range, depth) = waiting[node]
      firstChild.append(Int32(waiting.count))
      var start = range.lowerBound
      while start < range.upperBound, keys[order[start]].count == depth { start += 1 }
      if depth > 0, start > range.lowerBound { ids[node] = Int32(order[start - 1]) }
      while start < range.upperBound {
        let byte = keys[order[start]][depth]
        var end = start + 1
        while end < range.upperBound, keys[order[end]][depth] == byte { end += 1 }
        labels.append(byte)
        ids.append(-1)
        waiting.append((start..<end, depth + 1))
        start = end
      }
      node += 1
    }
    firstChild.append(Int32(waiting.count))
  }

  /// Calls `body` with every piece that `text` starts with, shortest first: its id and length in bytes.
  func forEachPrefix(of text: ArraySlice<UInt8>, _ body: (_ id: Int32, _ length: Int) -> Void) {
    var node = 0
    var length = 0
    for byte in text {
      guard let next = child(of: node, byte) else { return }
      node = next
      length += 1
      if ids[node] >= 0 { body(ids[node], length) }
    }
  }

  /// The id of a whole piece.
  func id(of piece: ArraySlice<UInt8>) -> Int32? {
    var found: Int32?
    forEachPrefix(of: piece) { id, length in if length == piece.count { found = id } }
    return found
  }

  private func child(of node: Int, _ byte: UInt8) -> Int? {
    var (low, high) = (Int(firstChild[node]), Int(firstChild[node + 1]))
    while low < high {
      let middle = (low + high) / 2
      if labels[middle] == byte { return middle }
      if labels[middle] < byte { low = middle + 1 } else { high = middle }
    }
    return nil
  }
}
