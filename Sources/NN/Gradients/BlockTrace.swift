import Tensor

/// A stream on its way through a block on variables.
struct TracedStream {
  let stream: Stream
  var tokens: Variable
  let conditioning: Variable
}

/// One block run again on variables.
final class BlockTrace {
  private let id: BlockID
  private let log: PassLog
  /// The sites whose variables are kept.
  private let wanted: Set<Site>
  private(set) var visited: [Site: Variable] = [:]

  init(_ id: BlockID, log: PassLog, wanted: Set<Site>) {
    (self.id, self.log, self.wanted) = (id, log, wanted)
  }

  /// A variable at a site, as processors left it in the pass, and kept if it is wanted.
  func visit(_ site: Site, _ variable: Variable) -> Variable {
    var result = variable
    if let rewrite = log.rewrites[site] {
      result = Variable(of: variable, vjp: { rewrite.vjps.reversed().reduce($0) { $1($0) } }) { _ in rewrite.value }
    }
    guard wanted.contains(site) else { return result }
    // Gradients are wanted here also where none goes further.
    if !result.needsGradient { result = Variable(result.value, needsGradient: true) }
    result.keepsGradient = true
    visited[site] = result
    return result
  }

  /// Attention as the pass computed it.
  func attended(
    _ part: AttentionCall.Part, _ query: StreamID, _ queries: Variable,
    _ sources: [(stream: StreamID, key: Variable, value: Variable)]
  ) -> Variable {
    guard let call = log.calls[.init(block: id, part: part, query: query)] else {
      return queries.attended(to: sources.map { ($0.key, $0.value) })
    }
    let keys = sources.map { source in
      let change = call.changes[.init(query: query, key: source.stream)]
      let scale = change?.logitScale ?? 1
      return (
        key: scale == 1 ? source.key : source.key * scale,
        value: change?.dropsValues == true ? source.value * 0 : source.value
      )
    }
    var shaped = call
    shaped.sources = sources.map { .init(stream: $0.stream, key: $0.key.value, value: $0.value.value) }
    let mask = shaped.bias(for: .init(stream: query, tensor: queries.value))
    return queries.attended(to: keys, mask: mask, scale: call.scale, precision: call.precision)
  }

  /// Runs the block: as `runJointBlock`.
  ///
  /// - Throws: `GradientError.notDifferentiable`
  func run(_ block: any JointBlock, _ streams: inout [TracedStream]) throws(GradientError) {
    var lanes: [TracedLane] = []
    for index in streams.indices {
      let stream = streams[index].stream, half = block.halves[block.half(for: stream.processedAs)]
      guard let half = half as? any DifferentiableHalf else {
        throw .notDifferentiable(id, half: "\(type(of: half))")
      }
      let tap = TracedTap(block: id, stream: stream.id, trace: self)
      streams[index].tokens = tap(.residualInput, streams[index].tokens)
      lanes.append(open(half, streams[index], tap))
    }
    let outputs = lanes.map { lane in
      let tap = TracedTap(block: id, stream: lane.id, trace: self)
      let sources = lanes.filter { lane.reads.contains($0.id) }
      // A stream that reads nobody keeps its values.
      let output =
        sources.isEmpty
        ? lane.value : attended(.joint, lane.id, lane.query, sources.map { ($0.id, $0.key, $0.value) })
      return tap(.attentionOutput, output)
    }
    for index in streams.indices {
      guard let tokens = lanes[index].update(outputs[index]) else { continue }
      streams[index].tokens = TracedTap(block: id, stream: lanes[index].id, trace: self)(.residualOutput, tokens)
    }
  }
}

/// A stream between the two halves of a block, on variables.
private struct TracedLane {
  let id: StreamID
  let reads: Set<StreamID>
  let query, key, value: Variable
  let update: (Variable) -> Variable?
}

private func open<Half: DifferentiableHalf>(
  _ half: Half, _ traced: TracedStream, _ tap: TracedTap
) -> TracedLane {
  let stream = traced.stream
  let projection = half.traceProject(
    TracedInput(
      tokens: traced.tokens, conditioning: tap(.conditioning, traced.conditioning), processedAs: stream.processedAs,
      tap: tap))
  let query = tap(.query, projection.query), key = tap(.key, projection.key)
  let heads = projection.query.value.shape[1]
  return TracedLane(
    id: stream.id, reads: stream.reads,
    query: stream.rotary.map { tap(.rotatedQuery, $0.rotate(query)) } ?? query,
    key: stream.rotary.map { tap(.rotatedKey, $0.rotate(key)) } ?? key, value: tap(.value, projection.value),
    update: { attention in
      half.traceUpdate(
        TracedUpdate(
          tokens: traced.tokens, mergedAttention: attention.mergedHeads(heads), saved: projection.saved, tap: tap))
    })
}
