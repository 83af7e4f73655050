import Tensor

/// Blocks and nothing else, as a model to hang processors on: to try a block, a half or a processor alone.
///
/// ```swift
/// let model = BlockModel([(BlockID("mine", 0), block)])
/// let run = try HookRun([processor], on: model, pass: Pass(steps: 1, grid: TokenGrid(height: 2, width: 2)))
/// var streams = [Stream(.image, tokens: tokens, conditioning: conditioning, reads: [.image])]
/// model(&streams, hooks: run)
/// try run.finish()
/// ```
public struct BlockModel: StreamModel {
  private let all: [(id: BlockID, block: any JointBlock)]
  private let native: [StreamID]
  private let places: @Sendable (StreamID, BlockID) -> [Site.Point]

  /// - Parameters:
  ///   - blocks: in the order they run
  ///   - streams: that travel through all of them
  ///   - points: of a stream in a block; those of any block without a second attention unless given. One that the block does
  ///     not visit shows when a processor that wants it was not called.
  public init(
    _ blocks: [(id: BlockID, block: any JointBlock)], streams: [StreamID] = [.text, .image],
    points: @escaping @Sendable (StreamID, BlockID) -> [Site.Point] = { _, _ in
      Site.Point.allCases.filter { !$0.isOfSecondAttention }
    }
  ) {
    all = blocks
    native = streams
    places = points
  }

  public var textFamily: String { all.first?.id.family ?? "" }
  public var blocks: [BlockID] { all.map(\.id) }
  public func streams(in block: BlockID) -> [StreamID] { native }
  public func points(of stream: StreamID, in block: BlockID) -> [Site.Point] { places(stream, block) }

  /// Runs the blocks over the streams, with the riders of the processors among them.
  public func callAsFunction(_ streams: inout [Stream], hooks: HookRun? = nil) {
    guard let first = streams.first else { return }
    let (batch, conditioning) = (first.tokens.shape[0], first.conditioning)
    hooks?.board(&streams) { Stream($0, tokens: $0.embeddings, conditioning: conditioning, batch: batch) }
    runJointBlocks(all.map { ($0.block, $0.id) }, &streams, hooks: hooks)
  }
}
