// What the program settles with the system before it does anything, and how it ends.

import Formats
import Foundation
import Tensor

/// Nothing the program writes to may end it, or be mistaken for another file.
func prepareProcess() throws {
  // A closed descriptor would be given to the next file that is opened, and messages would go into that.
  for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) == -1 {
    _ = open("/dev/null", O_RDWR)
  }
  // Whoever reads our output may go away, and `ulimit -f` may stop a file: both are then errors of `write`.
  signal(SIGPIPE, SIG_IGN)
  signal(SIGXFSZ, SIG_IGN)
  MappedFile.exitOnLostPages(code: 2)
  catchInterrupts()
  try Kernels.check()
}

/// Ends the program. Not with `exit`: that waits for OpenBLAS's threads, which never end where memory is so short that
/// they could not begin.
func leave(_ code: Int32) -> Never {
  FileTransaction.removeAllTemporaries()
  endTeam(code)
  var code = code
  errno = 0
  if fflush(nil) != 0, errno != EPIPE, code == 0 {
    printError("error: cannot write to standard output: \(String(cString: strerror(errno)))")
    code = 2
  }
  _exit(code)
}

/// - Throws: `InputError` when standard output is full
func writeToStandardOutput(_ text: String) throws {
  fflush(nil)
  do { try FileHandle.standardOutput.write(contentsOf: Data(text.utf8)) } catch {
    let code = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError)?.code ?? Int(EIO)
    // Whoever reads it may have read enough.
    if code == EPIPE { return }
    throw InputError("cannot write to standard output: \(String(cString: strerror(Int32(clamping: code))))")
  }
}

func printError(_ text: String) { writeToStandardError(text + "\n") }

/// Standard error may be closed or full: a message that nobody can be told stops nothing.
func writeToStandardError(_ text: String) {
  try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
}
