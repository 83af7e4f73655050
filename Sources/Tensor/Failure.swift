/// Stops the program with a text that says which operation was misused and how.
///
/// For a programmer's mistake inside (a wrong shape, axis or dtype). `fatalError` and not `precondition`, which
/// loses its text in release builds. Bad input from outside throws a typed error instead.
@inline(never)
package func tensorFailure(
  _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) -> Never {
  fatalError(message(), file: file, line: line)
}
