/// A processor that does not fit the model or the run.
public enum HookError: Error, Equatable, CustomStringConvertible {
  /// A pattern that matches no site or block, and the names that are nearest to it.
  case unknownPlace(pattern: String, processor: String, nearest: [String])
  /// A site of a stream that nobody brings along.
  case noStream(StreamID, pattern: String, processor: String, streams: [String])
  case duplicateStream(StreamID, processor: String)
  case badRider(StreamID, processor: String, reason: String)
  /// A processor that does nothing at all.
  case nothingToDo(processor: String)
  /// Steps or branches that the run does not have.
  case noSuchPass(what: String, processor: String, passes: String)
  /// Something that was to be called and was not.
  case neverFired(what: String, processor: String)
  /// Settings that make a processor pointless, in its own words.
  case refused(processor: String, reason: String)

  public var description: String {
    switch self {
    case .unknownPlace(let pattern, let processor, let nearest):
      "\(processor): nothing matches '\(pattern)'; nearest are \(nearest.joined(separator: ", "))"
    case .noStream(let id, let pattern, let processor, let streams):
      "\(processor): '\(pattern)' is about a stream '\(id)', which nobody brings along; there are "
        + streams.joined(separator: ", ")
    case .duplicateStream(let id, let processor):
      "\(processor): a stream named '\(id)' exists already"
    case .badRider(let id, let processor, let reason):
      "\(processor): stream '\(id)' \(reason)"
    case .nothingToDo(let processor):
      "\(processor): has nothing to do; install(_:on:) must enter what it reads, rewrites, observes or edits"
    case .noSuchPass(let what, let processor, let passes):
      "\(processor): \(what) is asked for in passes that this run does not have; it has \(passes)"
    case .neverFired(let what, let processor):
      "\(processor): \(what) was not reached in this run"
    case .refused(let processor, let reason):
      "\(processor): \(reason)"
    }
  }
}
