import Tensor

/// A model whose blocks processors can look into.
public protocol StreamModel {
  /// The blocks in the order they run.
  var blocks: [BlockID] { get }
  /// The streams that travel through a block.
  func streams(in block: BlockID) -> [StreamID]
  /// The points of a stream in a block; a rider has the points of the stream whose weights it borrows.
  func points(of stream: StreamID, in block: BlockID) -> [Site.Point]
  /// The family of blocks in which text tokens have weights of their own and attend together with image tokens: `double`
  /// in FLUX, `joint` in Stable Diffusion 3. Where methods look for the meaning of words unless they are told.
  var textFamily: String { get }
}

extension StreamModel {
  /// Every site of the model's own streams, in the order of the computation.
  public var sites: [Site] {
    blocks.flatMap { block in
      streams(in: block).flatMap { stream in points(of: stream, in: block).map { Site(block, stream, $0) } }
    }
  }
}

public enum HookError: Error, Equatable, CustomStringConvertible {
  case unknownSite(pattern: String, processor: String, examples: [String])
  case duplicateStream(StreamID, processor: String)
  case neverFired(pattern: String, processor: String)

  public var description: String {
    switch self {
    case .unknownSite(let pattern, let processor, let examples):
      "\(processor): no site matches '\(pattern)'; sites look like \(examples.joined(separator: ", "))"
    case .duplicateStream(let id, let processor):
      "\(processor): a stream named '\(id)' exists already"
    case .neverFired(let pattern, let processor):
      "\(processor): no site matching '\(pattern)' was reached in this run"
    }
  }
}

/// Processors installed on a model for one run: what the joint-block runner talks to.
///
/// Used from one thread at a time. Give it the current `pass` before every forward pass and call `finish()` at the
/// end of the run.
public final class HookRun {
  public let processors: [any AttentionProcessor]
  /// The pass that is running.
  public var pass: Pass
  /// How often each site's or block's processors were called.
  public private(set) var fired: [Site: Int] = [:]

  private let blocks: [BlockID]
  private let sites: [Site]
  private let hooks: [BlockID: BlockHooks]
  private var reached: Set<BlockID> = []

  /// - Throws: `HookError` when a processor names a site the model does not have, or a stream twice
  public init(_ processors: [any AttentionProcessor], on model: any StreamModel, pass: Pass) throws(HookError) {
    self.processors = processors
    self.pass = pass
    blocks = model.blocks
    for processor in processors { processor.install(on: model) }
    sites = try HookRun.sites(of: model, with: processors)
    for processor in processors {
      for pattern in processor.patterns where !sites.contains(where: pattern.matches) {
        throw .unknownSite(
          pattern: pattern.text, processor: processor.name, examples: sites.prefix(2).map(\.description))
      }
    }
    hooks = HookRun.table(processors, blocks: model.blocks, sites: sites)
  }

  /// Adds the processors' streams to a pass. `stream` turns a rider into tokens, conditioning and positions.
  public func board(_ streams: inout [Stream], _ stream: (Rider) -> Stream) {
    for processor in processors { streams += processor.riders(for: pass).map(stream) }
  }

  /// Whether nobody wants anything from the blocks after this one.
  public func isDone(after block: BlockID) -> Bool {
    guard let place = blocks.firstIndex(of: block) else { return false }
    return !blocks[(place + 1)...].contains { hooks[$0] != nil }
  }

  /// - Throws: `HookError.neverFired` for a named site that no pass reached
  public func finish() throws(HookError) {
    for processor in processors {
      for pattern in processor.patterns where !wasReached(pattern, by: processor) {
        throw .neverFired(pattern: pattern.text, processor: processor.name)
      }
    }
  }

  /// A processor that looks at whole blocks reaches their sites with the block.
  private func wasReached(_ pattern: SitePattern, by processor: any AttentionProcessor) -> Bool {
    fired.keys.contains(where: pattern.matches)
      || sites.contains { reached.contains($0.block) && processor.watches($0.block) && pattern.matches($0) }
  }

  /// Who wants what at a block that is about to run; nil when nobody wants anything.
  func enter(_ block: BlockID) -> BlockHooks? {
    guard let hooks = hooks[block] else { return nil }
    reached.insert(block)
    return hooks
  }

  func visit(_ site: Site, _ tensor: Tensor, _ wanting: [Int]) -> Tensor {
    fired[site, default: 0] += 1
    var result = tensor
    for index in wanting {
      let rewritten = processors[index].rewrite(result, at: site, pass)
      guard rewritten.shape == tensor.shape else {
        tensorFailure(
          "\(processors[index].name).rewrite at \(site): returned shape \(rewritten.shape), expected \(tensor.shape)")
      }
      result = rewritten
    }
    for index in wanting { processors[index].read(result, at: site, pass) }
    return result
  }

  private static func sites(
    of model: any StreamModel, with processors: [any AttentionProcessor]
  ) throws(HookError) -> [Site] {
    var sites = model.sites
    var known = Set(sites.map(\.stream))
    for processor in processors {
      for id in processor.riderIDs {
        guard known.insert(id).inserted else { throw .duplicateStream(id, processor: processor.name) }
        for block in model.blocks where model.streams(in: block).contains(.text) {
          sites += model.points(of: .text, in: block).map { Site(block, id, $0) }
        }
      }
    }
    return sites
  }

  private static func table(
    _ processors: [any AttentionProcessor], blocks: [BlockID], sites: [Site]
  ) -> [BlockID: BlockHooks] {
    var result: [BlockID: BlockHooks] = [:]
    for site in sites {
      let wanting = processors.indices.filter { processors[$0].wants(site) }
      if !wanting.isEmpty { result[site.block, default: BlockHooks()].sites[site] = wanting }
    }
    for block in blocks {
      let watching = processors.indices.filter { processors[$0].watches(block) }
      let replacing = processors.indices.filter { processors[$0].replacesAttention(block) }
      if watching.isEmpty && replacing.isEmpty { continue }
      result[block, default: BlockHooks()].watching = watching
      result[block, default: BlockHooks()].replacing = replacing
    }
    return result
  }
}

/// Who wants what at one block, by index into the run's processors.
struct BlockHooks {
  var sites: [Site: [Int]] = [:]
  var watching: [Int] = []
  var replacing: [Int] = []
}

/// Hands tensors of one stream in one block to the processors that want them. Does nothing where nobody does.
public struct Tap {
  let run: HookRun?
  let hooks: BlockHooks?
  let block: BlockID
  let stream: StreamID

  /// Passes `tensor` through the processors at this point.
  public func callAsFunction(_ point: Site.Point, _ tensor: Tensor) -> Tensor {
    guard let run, let wanting = hooks?.sites[Site(block, stream, point)] else { return tensor }
    return run.visit(Site(block, stream, point), tensor, wanting)
  }

  /// Whether anybody wants this point: lets a block fuse past it when nobody does.
  public func wants(_ point: Site.Point) -> Bool { hooks?.sites[Site(block, stream, point)] != nil }
}
