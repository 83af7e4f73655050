import Foundation
import Synchronization

/// Thrown at the next step after Ctrl-C. Files are written whole or not at all, so there is nothing to tidy up.
struct Interrupted: Error, CustomStringConvertible {
  var description: String { "interrupted: nothing was written" }
}

private let interruptsSeen = Atomic<Int>(0)

/// The first Ctrl-C asks the run to stop after the current step, the second ends the program at once.
func catchInterrupts() {
  signal(SIGINT) { _ in
    if interruptsSeen.add(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
  }
}

func checkInterrupt() throws {
  if interruptsSeen.load(ordering: .relaxed) > 0 { throw Interrupted() }
}

/// One line on standard error that is written over, and only on a terminal.
struct Progress {
  let label: String
  private let isTerminal = isatty(2) == 1
  private let start = Date()

  init(_ label: String) { self.label = label }

  func show(_ done: Int, of total: Int) {
    guard isTerminal else { return }
    let seconds = Date().timeIntervalSince(start), left = seconds / Double(max(1, done)) * Double(total - done)
    let text = "\r\(label) \(done)/\(total), \(Int(left.rounded(.up))) s left\u{1B}[K"
    FileHandle.standardError.write(Data(text.utf8))
  }

  func finish() {
    if isTerminal { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
  }
}
