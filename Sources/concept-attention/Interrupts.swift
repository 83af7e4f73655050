import Formats
import Foundation
import Synchronization

/// Thrown at the next step after Ctrl-C, or when the program is asked to end in another way.
struct Interrupted: Error, CustomStringConvertible {
  let signal: Int32

  var description: String { "interrupted: nothing was written" }
  /// As a shell tells it of a program that a signal ended.
  var exitCode: Int32 { 128 + signal }
}

/// The first signal that asked the program to end; 0 for none.
private let interruption = Atomic<Int32>(0)
private let isCommitting = Atomic<Bool>(false)

/// The first Ctrl-C (or SIGTERM, or SIGHUP) asks the run to stop after the current step, the second ends the program at
/// once, but not while finished files are given their names.
func catchInterrupts() {
  for number in [SIGINT, SIGTERM, SIGHUP] {
    // Under nohup a program outlives its terminal.
    if number == SIGHUP, isIgnored(number) { continue }
    // A process started from a thread that blocks signals would never hear of one.
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, number)
    sigprocmask(SIG_UNBLOCK, &set, nil)
    signal(number) { number in
      let (isFirst, _) = interruption.compareExchange(expected: 0, desired: number, ordering: .relaxed)
      if isFirst || isCommitting.load(ordering: .relaxed) { return }
      FileTransaction.removeAllTemporaries()
      _exit(128 + number)
    }
  }
}

private func isIgnored(_ number: Int32) -> Bool {
  var action = sigaction()
  guard sigaction(number, nil, &action) == 0 else { return false }
  return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}

/// Gives finished files their names: whoever presses Ctrl-C now gets them all.
func withoutInterrupts(_ commit: () throws -> Void) throws {
  isCommitting.store(true, ordering: .sequentiallyConsistent)
  defer { isCommitting.store(false, ordering: .sequentiallyConsistent) }
  try checkInterrupt()
  try commit()
}

func checkInterrupt() throws {
  let signal = interruption.load(ordering: .sequentiallyConsistent)
  if signal != 0 { throw Interrupted(signal: signal) }
}

/// One line on standard error that is written over; where that is no terminal, a line every few minutes.
struct Progress: Sendable {
  let label: String
  private let isTerminal = isatty(2) == 1
  private let start = Date()
  private let lastLine = LastLine()

  private final class LastLine: Sendable {
    private let time = Mutex(Date())

    /// Whether it is time for another.
    func isLongAgo() -> Bool {
      time.withLock { time in
        guard Date().timeIntervalSince(time) >= 180 else { return false }
        time = Date()
        return true
      }
    }
  }

  init(_ label: String) { self.label = label }

  func show(_ done: Int, of total: Int) {
    let seconds = Date().timeIntervalSince(start), left = seconds / Double(max(1, done)) * Double(total - done)
    let text = "\(label) \(done)/\(total), \(durationText(left)) left"
    if isTerminal {
      writeToStandardError("\r\(text)\u{1B}[K")
    } else if lastLine.isLongAgo() {
      writeToStandardError("\(text)\n")
    }
  }

  /// Within a step, of weights that are read at every step.
  func show(block: Int, of blocks: Int, bytes: Int) {
    guard isTerminal else { return }
    let read = String(format: "%.1f GB", Double(bytes) / 1e9)
    writeToStandardError(
      "\r\(label): block \(block + 1)/\(blocks), \(read) read in \(Int(Date().timeIntervalSince(start))) s\u{1B}[K")
  }

  func finish() {
    if isTerminal { writeToStandardError("\r\u{1B}[K") }
  }
}

/// In the two largest units that say something: `8 s`, `3 min 20 s`, `2 h 5 min`.
func durationText(_ seconds: Double) -> String {
  guard seconds < 60 else {
    let whole = Int(min(seconds, 1e12).rounded(.up))
    return whole < 3600 ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
  return seconds < 1 ? "1 s" : "\(Int(seconds.rounded(.up))) s"
}
