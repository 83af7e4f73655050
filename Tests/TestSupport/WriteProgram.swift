import Foundation

/// Writes a program that may be started at once. A copy by another process: while this one writes it, children that other tests
/// start inherit the open file for a moment, and a file that is open for writing cannot be run.
public func writeProgram(_ text: String, to path: String) throws {
  try Data(text.utf8).write(to: URL(fileURLWithPath: path + ".text"))
  try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path + ".text")
  let copy = Process()
  copy.executableURL = URL(fileURLWithPath: "/bin/cp")
  copy.arguments = ["--preserve=mode", path + ".text", path]
  try copy.run()
  copy.waitUntilExit()
}
