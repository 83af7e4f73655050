import Testing

/// Expects the standard error of a process that stopped to contain `text`.
///
///     let trap = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { … }
///     expectTrapText(trap, "shapes [2, 3] and [4, 2]")
public func expectTrapText(
  _ result: ExitTest.Result?, _ text: String, sourceLocation: SourceLocation = #_sourceLocation
) {
  guard let result else { return }  // `#expect` has recorded that it did not stop
  let written = String(decoding: result.standardErrorContent, as: UTF8.self)
  if !written.contains(text) {
    Issue.record("stopped with '\(written.prefix(400))', expected '\(text)'", sourceLocation: sourceLocation)
  }
}
