// Byte-pair encoding: the pieces of a word are joined two by two, the earliest learnt rule first.

/// The merge rules of a byte-level vocabulary whose words end in `</w>`.
/// Source: Sennrich et al., arXiv 1508.07909; tokenizers `BPE`.
struct BytePairEncoder: Sendable {
  /// Marks a piece that ends a word.
  static let wordEnd = "</w>"

  private struct Rule: Sendable {
    let rank: UInt32
    let joined: Int32
  }

  private var rules: [UInt64: Rule] = [:]
  /// What each rank produces.
  private var joinedByRank: [Int32] = []
  /// The id of every byte inside a word and at its end.
  private let inner: [Int32]
  private let last: [Int32]

  /// - Parameters:
  ///   - merges: pairs of pieces, the most important first
  ///   - unknown: the id of bytes that the vocabulary has no piece for
  ///   - path: the file of the rules, for errors
  init(
    vocabulary: [ExactString: Int32], merges: [(String, String)], unknown: Int32, path: String
  ) throws {
    inner = (0...255).map { vocabulary[ExactString(ByteAlphabet.character(of: $0))] ?? unknown }
    last = (0...255).map { vocabulary[ExactString(ByteAlphabet.character(of: $0) + Self.wordEnd)] ?? unknown }
    rules.reserveCapacity(merges.count)
    for (rank, (left, right)) in merges.enumerated() {
      func id(_ piece: String) throws -> Int32 {
        if let id = vocabulary[ExactString(piece)] { return id }
        throw TokenizerError(path, .mergeOfUnknownPiece(rule: rank + 1, piece: piece))
      }
      let pair = try Self.key(id(left), id(right))
      let rule = Rule(rank: UInt32(rank), joined: try id(left + right))
      rules[pair] = rule
      joinedByRank.append(rule.joined)
    }
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// The pieces of one word, given as UTF-8: their ids and how many bytes each takes.
  ///
  /// Takes n log n steps for n bytes: candidates wait in a heap, and pieces form a linked list.
  func pieces(of word: [UInt8]) -> [(id: Int32, bytes: Int)] {
    var symbols = word.enumerated().map { index, byte in
      Symbol(id: (index == word.count - 1 ? last : inner)[Int(byte)], previous: index - 1, next: index + 1)
    }
    var queue = MergeQueue()
    func offer(_ left: Int, _ right: Int) {
      guard left >= 0, right < symbols.count else { return }
      guard let rule = rules[Self.key(symbols[left].id, symbols[right].id)] else { return }
      queue.insert(rank: rule.rank, position: UInt32(left))
    }
    for index in symbols.indices.dropLast() { offer(index, index + 1) }
    while let (rank, position) = queue.removeFirst() {
      let left = Int(position)
      let right = symbols[left].next
      guard symbols[left].bytes > 0, right < symbols.count else { continue }
      // A candidate is stale when one of its halves was joined with something else meanwhile; it still counts when the
      // two pieces that stand there now produce the same piece, as it does in the reference.
      guard let rule = rules[Self.key(symbols[left].id, symbols[right].id)], rule.joined == joinedByRank[Int(rank)]
      else { continue }
      symbols[left].id = rule.joined
      symbols[left].bytes += symbols[right].bytes
      symbols[left].next = symbols[right].next
      symbols[right].bytes = 0
      if symbols[left].next < symbols.count { symbols[symbols[left].next].previous = left }
      offer(symbols[left].previous, left)
      offer(left, symbols[left].next)
    }
    return symbols.filter { $0.bytes > 0 }.map { ($0.id, $0.bytes) }
  }

  private struct Symbol {
    var id: Int32
    var previous: Int
    var next: Int
    var bytes = 1
  }
}

/// A binary heap of merge candidates: lowest rank first, of equal ranks the leftmost.
private struct MergeQueue {
  private var heap: [UInt64] = []

  mutating func insert(rank: UInt32, position: UInt32) {
    heap.append(UInt64(rank) << 32 | UInt64(position))
    var child = heap.count - 1
    while child > 0, heap[child] < heap[(child - 1) / 2] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func removeFirst() -> (rank: UInt32, position: UInt32)? {
    guard let first = heap.first else { return nil }
    let tail = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = tail
      sink()
    }
    return (UInt32(first >> 32), UInt32(truncatingIfNeeded: first))
  }

  private mutating func sink() {
    var parent = 0
    while true {
      let left = 2 * parent + 1
      var least = parent
      for child in [left, left + 1] where child < heap.count && heap[child] < heap[least] { least = child }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}

/// The printable stand-ins for bytes in byte-level vocabularies. Source: GPT-2, `bytes_to_unicode`.
enum ByteAlphabet {
  private static let scalars: [Unicode.Scalar] = {
    var next: UInt32 = 256
    return (0...255).map { (byte: UInt32) in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(UInt8(byte))
      default:
        defer { next += 1 }
        return Unicode.Scalar(next) ?? "\u{FFFD}"
      }
    }
  }()

  private static let bytes: [Unicode.Scalar: UInt8] = Dictionary(
    uniqueKeysWithValues: scalars.enumerated().map { ($1, UInt8($0)) })

  static func character(of byte: Int) -> String { String(scalars[byte]) }

  /// The bytes that a piece spells; its own UTF-8 when it is not written in this alphabet.
  static func bytes(of piece: String) -> [UInt8] {
    let spelled = piece.unicodeScalars.compactMap { bytes[$0] }
    return spelled.count == piece.unicodeScalars.count ? spelled : Array(piece.utf8)
  }
}
