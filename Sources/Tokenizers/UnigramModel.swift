// The unigram language model of SentencePiece: a word is cut so that the scores of its pieces add up to the most.

/// A unigram model. Source: Kudo, arXiv 1804.10959; tokenizers `Unigram` (its `encode_optimized`).
struct UnigramModel: Sendable {
  /// What an unknown character costs beyond the least likely piece.
  private static let unknownPenalty = 10.0

  let pieces: [String]
  let unknown: Int32
  private let scores: [Double]
  private let unknownScore: Double
  private let trie: PieceTrie

  /// - Parameter unknown: the piece that stands for characters no other piece covers; must be one of `pieces`
  init(pieces: [(piece: String, score: Double)], unknown: Int32) {
    self.pieces = pieces.map(\.piece)
    self.unknown = unknown
    scores = pieces.map(\.score)
    unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
    trie = PieceTrie(self.pieces)
  }

  /// The best cut of one word, given as UTF-8: ids and the number of bytes each takes. Neighbouring unknown characters
  /// form one unknown token. Of equally good cuts the one found first counts: earlier starts, then shorter pieces.
  func tokens(of word: [UInt8]) -> [(id: Int32, bytes: Int)] {
    let ends = bestPaths(word)
    var tokens: [(id: Int32, bytes: Int)] = []
    var end = word.count
    while end > 0 {
      let node = ends[end]
      var start = node.start
      if node.id == unknown {
        while start > 0, ends[start].id == unknown { start = ends[start].start }
        tokens.append((trie.id(of: word[start..<end]) ?? unknown, end - start))
      } else {
        tokens.append((node.id, end - start))
      }
      end = start
    }
    return tokens.reversed()
  }

  private struct Node {
    var id: Int32 = 0
    var score = 0.0
    /// Where the last piece of the best path to here starts; -1 before any path is known.
    var start = -1

    mutating func offer(_ id: Int32, score: Double, start: Int) {
      guard self.start < 0 || score > self.score else { return }
      self = Node(id: id, score: score, start: start)
    }
  }

  /// For every position the best path that ends there (Viterbi).
  private func bestPaths(_ word: [UInt8]) -> [Node] {
    var ends = Array(repeating: Node(), count: word.count + 1)
    var start = 0
    while start < word.count {
      let width = min(Self.width(word[start]), word.count - start)
      let soFar = ends[start].score
      var coversCharacter = false
      trie.forEachPrefix(of: word[start...]) { id, length in
        ends[start + length].offer(id, score: scores[Int(id)] + soFar, start: start)
        if length == width { coversCharacter = true }
      }
      if !coversCharacter { ends[start + width].offer(unknown, score: unknownScore + soFar, start: start) }
      start += width
    }
    return ends
  }

  /// The bytes of the character that starts with `byte`.
  private static func width(_ byte: UInt8) -> Int {
    switch byte {
    case ..<0xC0: 1
    case ..<0xE0: 2
    case ..<0xF0: 3
    default: 4
    }
  }
}
