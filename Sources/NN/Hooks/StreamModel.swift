/// A model whose blocks processors can look into.
public protocol StreamModel: Sendable {
  /// The blocks in the order they run.
  var blocks: [BlockID] { get }
  /// The streams that travel through a block.
  func streams(in block: BlockID) -> [StreamID]
  /// The points of a stream in a block; a rider has the points of the stream it is processed as.
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point]
  /// The family of blocks in which text tokens have weights of their own and attend together with image tokens: `double`
  /// in FLUX, `joint` in Stable Diffusion 3. Where methods look for the meaning of words unless they are told.
  var textFamily: String { get }
  /// Where the weights of a block are among the model's, such as `transformer_blocks.3`; nil, unless given, where that is
  /// not known. What is done about the memory of blocks needs it.
  func parameterPath(of block: BlockID) -> String?
  /// Where diffusers' implementation of the model has a site; nil, unless given, where it has none.
  func moduleTensor(of site: Site) -> ModuleTensor?
}

extension StreamModel {
  public func parameterPath(of block: BlockID) -> String? { nil }
  public func moduleTensor(of site: Site) -> ModuleTensor? { nil }

  /// Every site of the model's own streams, in the order of the computation.
  public var sites: [Site] {
    blocks.flatMap { block in
      streams(in: block).flatMap { stream in points(of: stream, in: block).map { Site(block, stream, $0) } }
    }
  }

  /// The sites that a pattern selects.
  ///
  /// - Parameters:
  ///   - encoders: text encoders of the same run, which patterns must name
  ///   - user: who asks, for the message
  /// - Throws: `HookError` when there are none, with the names that are nearest
  public func sites(
    matching pattern: SitePattern, encoders: [any StreamModel] = [], for user: String
  ) throws(HookError) -> [Site] {
    try Places(self, encoders: encoders, riders: []).sites(pattern, user)
  }

  /// The sites that a rider adds: those of the stream it is processed as, in the blocks it travels through.
  func sites(of rider: Rider) -> [Site] {
    blocks.filter { rider.families?.contains($0.family) ?? true }.flatMap { block in
      streams(in: block).contains(rider.processedAs)
        ? points(of: rider.processedAs, in: block).map { Site(block, rider.id, $0) } : []
    }
  }
}
