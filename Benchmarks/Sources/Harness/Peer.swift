import Foundation

/// Another implementation in a process of its own, which answers a line of JSON with a line of JSON. Between requests it
/// waits in a read, so it takes no time from the other side.
public final class Peer {
  /// What the peer is asked: measure this case for so long.
  private struct Request: Encodable {
    var name: String
    var runs: Int
    var seconds: Double
    /// Bytes of other memory to read before each run.
    var sweep: Int

    enum CodingKeys: String, CodingKey {
      case name = "case"
      case runs, seconds, sweep
    }
  }

  private struct Greeting: Decodable { let implementation: String }
  private struct Failure: Decodable { let error: String }
  private struct Absence: Decodable { let absent: Bool }

  /// Such as `PyTorch 2.13.0+cpu`.
  public let implementation: String
  private let process: Process
  private let requests, answers: FileHandle
  private var unread = Data()

  /// - Parameter arguments: a program found on PATH (or with a path), and its arguments
  public init(_ arguments: [String]) throws {
    process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let input = Pipe(), output = Pipe()
    process.standardInput = input
    process.standardOutput = output
    requests = input.fileHandleForWriting
    answers = output.fileHandleForReading
    try process.run()
    let greeting = try Peer.readLine(answers, &unread)
    guard let greeting, let hello = try? JSONDecoder().decode(Greeting.self, from: greeting) else {
      throw BenchmarkError("the peer '\(arguments.joined(separator: " "))' did not start; its message is above")
    }
    implementation = hello.implementation
  }

  /// One round of a case; the record carries its samples. None where the peer has no such operation.
  ///
  /// - Parameter sweep: bytes of other memory that the peer reads before each run
  public func measure(_ one: Case, _ budget: Budget, sweep: Int = 0) throws -> Record? {
    let request = Request(name: one.name, runs: budget.runs, seconds: budget.seconds, sweep: sweep)
    try requests.write(contentsOf: Data((RecordFile.line(request) + "\n").utf8))
    guard let answer = try Peer.readLine(answers, &unread) else {
      throw BenchmarkError("\(one.name): the peer ended without an answer; its message is above")
    }
    if let failure = try? JSONDecoder().decode(Failure.self, from: answer) {
      throw BenchmarkError("\(one.name): the peer says: \(failure.error)")
    }
    if let answer = try? JSONDecoder().decode(Absence.self, from: answer), answer.absent { return nil }
    return try JSONDecoder().decode(Record.self, from: answer)
  }

  /// Ends the peer by ending its input.
  public func stop() {
    try? requests.close()
    process.waitUntilExit()
  }

  private static func readLine(_ file: FileHandle, _ unread: inout Data) throws -> Data? {
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        let line = unread[unread.startIndex..<end]
        unread = Data(unread[unread.index(after: end)...])
        return Data(line)
      }
      let more = file.availableData
      guard !more.isEmpty else { return nil }
      unread += more
    }
  }
}
