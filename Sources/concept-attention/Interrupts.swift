import Foundation
import Synchronization

/// Thrown at the next step after Ctrl-C.
struct Interrupted: Error, CustomStringConvertible {
  var description: String { "interrupted: nothing was written" }
}

private let interruptsSeen = Atomic<Int>(0)
private let isWriting = Atomic<Bool>(false)

/// The first Ctrl-C asks the run to stop after the current step, the second ends the program at once, but not while
/// files are being written.
func catchInterrupts() {
  // A process started from a thread that blocks signals would never hear of one.
  var interrupt = sigset_t()
  sigemptyset(&interrupt)
  sigaddset(&interrupt, SIGINT)
  sigprocmask(SIG_UNBLOCK, &interrupt, nil)
  signal(SIGINT) { _ in
    let isSecond = interruptsSeen.add(1, ordering: .relaxed).oldValue > 0
    if isSecond, !isWriting.load(ordering: .relaxed) { _exit(130) }
  }
}

/// Writes the results: whoever presses Ctrl-C now gets them all.
func withoutInterrupts(_ write: () throws -> Void) throws {
  try checkInterrupt()
  isWriting.store(true, ordering: .relaxed)
  defer { isWriting.store(false, ordering: .relaxed) }
  try write()
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
