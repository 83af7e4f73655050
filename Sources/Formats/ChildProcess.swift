// Another program, started so that all of it can be ended.

import Foundation

/// A program in a process group of its own: what it starts itself ends with it. Signals have their usual meaning for it, even
/// those that this process ignores; a program that ignores SIGPIPE may write for ever to somebody who is gone.
///
/// It is ended when this object goes.
final class ChildProcess {
  private let identifier: pid_t
  private var ending: Int32?

  /// - Parameters:
  ///   - input: descriptors that it has as its standard streams
  /// - Throws: `FileError` when it cannot be started
  init(_ path: String, _ arguments: [String], input: Int32, output: Int32, errors: Int32) throws {
    var actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    for (own, standard) in [(input, STDIN_FILENO), (output, STDOUT_FILENO), (errors, STDERR_FILENO)] {
      posix_spawn_file_actions_adddup2(&actions, own, standard)
    }
    var usual = sigset_t(), none = sigset_t()
    sigemptyset(&usual)
    sigemptyset(&none)
    for signal in [SIGPIPE, SIGXFSZ] { sigaddset(&usual, signal) }
    posix_spawnattr_setsigdefault(&attributes, &usual)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
    var words = ([path] + arguments).map { strdup($0) } + [nil], variables = environment.map { strdup($0) } + [nil]
    defer { for text in words + variables { free(text) } }
    var identifier: pid_t = 0
    let code = posix_spawn(&identifier, path, &actions, &attributes, &words, &variables)
    guard code == 0 else { throw FileError("start", path, code: code) }
    self.identifier = identifier
  }

  deinit { end() }

  var isRunning: Bool {
    look(WNOHANG)
    return ending == nil
  }

  /// The exit code, or 128 and the signal that ended it; 0 while it runs.
  var status: Int32 {
    guard let ending else { return 0 }
    return ending & 0x7F == 0 ? ending >> 8 & 0xFF : 128 + ending & 0x7F
  }

  /// Ends it with all that it has started. A program that does not listen is not asked.
  func end() {
    // Until it is looked at, nobody else can have its number.
    if ending == nil { kill(-identifier, SIGKILL) }
    look(0)
  }

  private func look(_ options: Int32) {
    guard ending == nil else { return }
    var status: Int32 = 0
    var found = waitpid(identifier, &status, options)
    while found < 0, errno == EINTR { found = waitpid(identifier, &status, options) }
    // Not ours any more: somebody else has waited for it.
    if found != 0 { ending = found < 0 ? 0 : status }
  }
}
