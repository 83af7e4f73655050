// The queue: what waits, what runs, what is done, and who is told.

import Foundation

/// One run as the page sees it.
public struct RunRecord: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable { case queued, running, done, failed, cancelled }

  public var id: String
  public var kind, title: String
  public var state = State.queued
  public var done = 0, total = 0
  /// What it is doing, or why it failed.
  public var message = ""
  /// Counts pictures on the way, so that the page knows when to fetch one.
  public var previews = 0
  /// Seconds from its beginning to its end.
  public var seconds: Double?
  /// Counts its changes: answers and news may arrive in another order than they were sent.
  public var revision = 0
}

/// Runs wait in the order they came and are done one after the other.
actor RunBoard {
  nonisolated let store: RunStore
  nonisolated let limits: ExplorerLimits
  private nonisolated let executor: any RunExecutor
  private nonisolated let thread = RunThread()

  private var records: [String: RunRecord] = [:]
  private var order: [String] = []
  private var waiting: [(id: String, arguments: [String])] = []
  private var running: (id: String, task: Task<Void, any Error>)?
  private var previews: (id: String, picture: Data?, maps: Data?)?
  private var listeners: [UUID: AsyncStream<[UInt8]>.Continuation] = [:]
  /// Records kept in memory; files of older runs stay on the disk.
  private static let remembered = 1000

  init(_ store: RunStore, _ executor: any RunExecutor, limits: ExplorerLimits) {
    (self.store, self.executor, self.limits) = (store, executor, limits)
    store.removeUnfinished()
    for run in store.finished().suffix(Self.remembered) {
      records[run.id] = RunRecord(id: run.id, kind: run.kind, title: run.title, state: .done)
      order.append(run.id)
    }
  }

  /// Oldest first.
  var all: [RunRecord] { order.compactMap { records[$0] } }

  /// Takes a run into the queue.
  ///
  /// - Throws: `Refusal`, and what the program says against it
  func submit(_ request: RunRequest) throws -> RunRecord {
    try request.check(limits)
    guard waiting.count < limits.queue else {
      throw Refusal(429, "\(waiting.count) runs are waiting, which is as many as may: cancel some or come back later")
    }
    let id = try store.reserve(), folder = store.path(id)
    do {
      let arguments = try request.arguments(folder: folder, in: store)
      try executor.check(arguments)
      try JSONEncoder().encode(request).write(to: URL(fileURLWithPath: "\(folder)/\(RunStore.requestName)"))
      waiting.append((id, arguments))
    } catch {
      store.discard(id)
      throw error
    }
    let title = request.prompt ?? request.picture ?? ""
    let record = RunRecord(id: id, kind: request.kind.rawValue, title: title)
    records[id] = record
    order.append(id)
    forget()
    tell(record)
    startNext()
    return record
  }

  /// Takes a run out of the queue, or stops it within a block of the transformer.
  ///
  /// - Throws: `Refusal` for a run that neither waits nor runs
  func cancel(_ id: String) throws -> RunRecord {
    guard let record = records[id] else { throw Refusal(404, "no run '\(id.prefix(40))'") }
    if running?.id == id {
      running?.task.cancel()
      return record
    }
    guard let place = waiting.firstIndex(where: { $0.id == id }) else {
      throw Refusal(409, "run \(id) is \(record.state.rawValue): there is nothing to cancel")
    }
    waiting.remove(at: place)
    store.discard(id)
    return change(id) { $0.state = .cancelled }
  }

  /// A picture of a run on its way.
  func preview(_ id: String) -> (picture: Data?, maps: Data?)? {
    previews.flatMap { $0.id == id ? ($0.picture, $0.maps) : nil }
  }

  private func startNext() {
    guard running == nil, !waiting.isEmpty else { return }
    let (id, arguments) = waiting.removeFirst(), executor = executor, start = ContinuousClock.now
    change(id) { $0.state = .running }
    previews = nil
    let (news, reporter) = AsyncStream<RunProgress>.makeStream(bufferingPolicy: .bufferingNewest(4))
    let task = Task.detached(executorPreference: thread) {
      defer { reporter.finish() }
      try Task.checkCancellation()
      try executor.run(arguments) { reporter.yield($0) }
    }
    running = (id, task)
    Task {
      for await progress in news { heard(progress, of: id) }
      let result = await task.result
      ended(id, result, seconds: (ContinuousClock.now - start) / .seconds(1))
    }
  }

  private func heard(_ progress: RunProgress, of id: String) {
    if progress.picture != nil || progress.maps != nil {
      let kept = previews?.id == id ? previews : nil
      previews = (id, progress.picture ?? kept?.picture, progress.maps ?? kept?.maps)
    }
    change(id) { record in
      (record.done, record.total, record.message) = (progress.done, progress.total, progress.what)
      if progress.picture != nil || progress.maps != nil { record.previews += 1 }
    }
  }

  private func ended(_ id: String, _ result: Result<Void, any Error>, seconds: Double) {
    running = nil
    previews = nil
    change(id) { record in
      record.seconds = seconds
      switch result {
      case .success: (record.state, record.message) = (.done, "")
      case .failure(let error) where error is CancellationError: (record.state, record.message) = (.cancelled, "")
      case .failure(let error): (record.state, record.message) = (.failed, "\(error)")
      }
    }
    if case .failure = result { store.discard(id) }
    startNext()
  }

  @discardableResult private func change(_ id: String, _ body: (inout RunRecord) -> Void) -> RunRecord {
    var record = records[id] ?? RunRecord(id: id, kind: "", title: "")
    body(&record)
    record.revision += 1
    records[id] = record
    tell(record)
    return record
  }

  private func forget() {
    while order.count > Self.remembered,
      let place = order.firstIndex(where: { ![.queued, .running].contains(records[$0]?.state) })
    {
      records[order.remove(at: place)] = nil
    }
  }
}

// Who listens.
extension RunBoard {
  /// News as server-sent events, first of all runs that are not over.
  ///
  /// - Throws: `Refusal` when too many listen
  func listen() throws -> AsyncStream<[UInt8]> {
    guard listeners.count < limits.listeners else {
      throw Refusal(503, "\(listeners.count) pages listen already, which is as many as may")
    }
    // Of who reads too slowly the oldest news are dropped; every page asks for the list when it comes back.
    let (stream, continuation) = AsyncStream<[UInt8]>.makeStream(bufferingPolicy: .bufferingNewest(512))
    let key = UUID()
    listeners[key] = continuation
    continuation.onTermination = { _ in Task { await self.leave(key) } }
    continuation.yield(Array("retry: 1000\n\n".utf8))
    for record in all where [.queued, .running].contains(record.state) { continuation.yield(Self.event(record)) }
    return stream
  }

  /// A sign of life: connections of pages that are gone end with it.
  func beat() { for listener in listeners.values { listener.yield(Array(":\n\n".utf8)) } }

  private func leave(_ key: UUID) { listeners[key] = nil }

  private func tell(_ record: RunRecord) {
    let event = Self.event(record)
    for listener in listeners.values { listener.yield(event) }
  }

  /// JSON has no line breaks unless asked for.
  private static func event(_ record: RunRecord) -> [UInt8] {
    let json = (try? JSONEncoder().encode(record)) ?? Data("{}".utf8)
    return Array("event: run\ndata: ".utf8) + json + Array("\n\n".utf8)
  }
}
