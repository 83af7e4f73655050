import Foundation
import Testing

/// The program as it was built, run as a user runs it.
struct Command {
  struct Outcome {
    let status: Int32
    let output, errors: String
  }

  /// Lies beside the tests.
  static let executable = Bundle.main.bundleURL.appendingPathComponent("concept-attention")

  /// What the program would keep in the user's folder for caches.
  static let caches = FileManager.default.temporaryDirectory.appendingPathComponent("caches-\(UUID())").path

  /// Starts the program.
  ///
  /// - Parameters:
  ///   - folder: where it runs
  ///   - environment: variables in place of this process's
  static func start(
    _ arguments: [String], in folder: String, environment: [String: String] = [:]
  ) throws -> Running {
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["XDG_CACHE_HOME": caches]) { $1 }
      .merging(environment) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    let running = Running(process: process)
    process.standardOutput = running.output
    process.standardError = running.errors
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return running
  }

  /// Sleeps for a random part of a run of that length; every second time to its last third, where files are written.
  static func waitForSomeMoment(of length: Duration) {
    let part = Double.random(in: (Bool.random() ? 0.66 : 0)...1.1)
    usleep(UInt32(max(0, length / .microseconds(1) * part)))
  }

  static func run(_ arguments: String..., in folder: String) throws -> Outcome {
    try start(arguments, in: folder).finish()
  }

  struct Running {
    let process: Process
    let output = Pipe(), errors = Pipe()

    /// An interruption before that ends any program at once.
    func waitUntilItCatchesInterrupts() throws {
      let caught = UInt64(1) << (SIGINT - 1)
      while process.isRunning {
        let status = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }
        let mask = line.flatMap { UInt64($0.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16) } ?? 0
        if mask & caught != 0 { return }
        usleep(1000)
      }
    }

    /// What it printed is far less than a pipe holds.
    func finish() throws -> Outcome {
      let text = try output.fileHandleForReading.readToEnd() ?? Data()
      let complaints = try errors.fileHandleForReading.readToEnd() ?? Data()
      process.waitUntilExit()
      return Outcome(
        status: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
        output: String(decoding: text, as: UTF8.self), errors: String(decoding: complaints, as: UTF8.self))
    }
  }
}

/// A folder for one test.
func withFolder(_ body: (String) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("command-\(UUID())").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try body(folder)
}

/// Everything below a folder, by path.
func contents(_ folder: String) throws -> [String: Data] {
  var files: [String: Data] = [:]
  for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
    files[path] = FileManager.default.contents(atPath: "\(folder)/\(path)") ?? Data()
  }
  return files
}

/// Wrong input: exit code 2, nothing on standard output, a message that holds every one of `words`.
func expectRefusal(_ outcome: Command.Outcome, _ words: String..., at location: SourceLocation = #_sourceLocation) {
  #expect(outcome.status == 2, "\(outcome.errors)", sourceLocation: location)
  #expect(outcome.output.isEmpty, sourceLocation: location)
  for word in words {
    #expect(outcome.errors.contains(word), "'\(word)' in: \(outcome.errors)", sourceLocation: location)
  }
}
