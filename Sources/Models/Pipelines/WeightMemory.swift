import Formats
import NN
import Synchronization
import Tensor

/// Where the weights of a model lie in files, by name.
struct WeightParts {
  /// Part of a mapped file.
  struct Extent {
    var file: MappedFile
    var range: Range<Int>
  }

  private(set) var extents: [(name: String, extent: Extent)] = []

  /// Notes a weight; one that has memory of its own (converted, or changed by a LoRA file) does not come from the file.
  mutating func add(_ name: String, _ parameter: Parameter) {
    if let mapping = parameter.mapping { extents.append((name, mapping)) }
  }

  /// Of all weights below a path, those of one file that touch or overlap joined.
  func extents(below path: String) -> [Extent] {
    let own = extents.filter { $0.name.hasPrefix(path + ".") }.map(\.extent)
    var joined: [Extent] = []
    for extent in own.sorted(by: { ($0.file.path, $0.range.lowerBound) < ($1.file.path, $1.range.lowerBound) }) {
      // Files pad tensors to some alignment.
      if let last = joined.last, last.file === extent.file, extent.range.lowerBound <= last.range.upperBound + 4096 {
        joined[joined.count - 1].range = last.range.lowerBound..<max(last.range.upperBound, extent.range.upperBound)
      } else {
        joined.append(extent)
      }
    }
    return joined
  }
}

/// The memory that a transformer's weights are given. They lie in mapped files: while they fit into the memory there is, they
/// are read once, ahead of the blocks that need them. Where they do not, as many blocks as fit stay, spread over the model, and
/// the others are read at every step, ahead of their turn, and dropped behind it.
public struct WeightMemory: Sendable {
  let stream: WeightStream?
  private let source: (any WeightSource)?
  private let limit: Int?
  private static let smallest = 64 << 20

  /// Of a model whose weights are in memory, or about which nothing is known.
  public init() { (stream, source, limit) = (nil, nil, nil) }

  init(_ parts: WeightParts, of model: any StreamModel, _ source: any WeightSource, limit: Int?) {
    let blocks = model.blocks.map { id in
      WeightStream.Block(id: id, extents: model.parameterPath(of: id).map(parts.extents(below:)) ?? [])
    }
    // Of a small model nothing is worth the trouble, unless it is asked for.
    let bytes = blocks.map(\.bytes).reduce(0, +)
    stream = bytes > (limit == nil ? Self.smallest : 0) ? WeightStream(blocks) : nil
    (self.source, self.limit) = (source, limit)
  }

  /// What of the blocks' weights stays in memory, and what is read at every step, in bytes.
  public struct Share: Sendable, Equatable {
    public var resident = 0, streamed = 0
    /// Of the blocks that are read ahead.
    public var window = 0
    /// The most of the files' pages that are in memory for this process.
    public var peak: Int { resident + (streamed > 0 ? window : 0) }
  }

  /// How the weights would be shared out beside so much other memory.
  ///
  /// - Parameter limit: of the weights; nil for what the machine has free
  public func share(beside activations: Int, limit: Int? = nil) -> Share {
    stream?.plan(budget: budget(beside: activations, limit: limit ?? self.limit)).share ?? Share()
  }

  /// A run of the transformer is about to begin.
  func begin(beside activations: Int) { stream?.begin(budget: budget(beside: activations, limit: limit)) }

  /// The transformer is done: its pages may go.
  func end() {
    guard let stream else { return }
    stream.end()
    source?.release()
  }

  /// Told of every block of a run that does not fit into memory: the blocks that have run in this pass and all of them, and
  /// the bytes read so far.
  public func onProgress(_ body: (@Sendable (_ done: Int, _ blocks: Int, _ bytes: Int) -> Void)?) {
    stream?.setProgress(body)
  }

  /// Bytes that were read at steps, because they do not fit.
  public var streamedBytes: Int { stream?.streamedBytes ?? 0 }

  /// - Returns: nil for no bound
  private func budget(beside activations: Int, limit: Int?) -> Int? {
    let free = Memory.pageAllowance.map { allowance in
      // Other programs want some too, and the system its tables.
      max(0, allowance.bytes - activations - max(256 << 20, allowance.bytes / 16))
    }
    return [free, limit].compactMap { $0 }.min()
  }
}
