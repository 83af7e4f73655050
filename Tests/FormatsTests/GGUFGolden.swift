import Formats
import Tensor
import TestSupport
import Testing

/// Metadata and values of every tensor, whole and by rows; the malformed files are refused.
func checkGGUFFile(_ golden: GoldenCase) throws {
  let file = try GGUFFile(path: golden.path(#require(golden.config.file.string)))
  for (key, expected) in golden.config.metadata.object {
    #expect(matches(try #require(file.metadata[key]), expected), "\(key)")
  }
  let outputs = try golden.outputs()
  #expect(file.names.sorted() == outputs.keys.map { String($0.dropFirst(4)) }.sorted())
  for (key, expected) in outputs {
    let name = String(key.dropFirst(4))
    expectClose(try file.tensor(name).converted(to: .f32), expected, golden.tolerance, name)
    guard let entry = file.entry(name), entry.type.dtype == nil else { continue }
    let part = try file.quantized(name).dequantized(rows: 1..<3)
    expectClose(part, expected.narrow(0, from: 1, count: 2), golden.tolerance, "\(name), rows 1 and 2")
  }
  for name in golden.config.malformed.strings {
    let error = #expect(throws: GGUFError.self, "\(name)") { try GGUFFile(path: golden.path(name)) }
    #expect(error?.description.contains(name) == true, "the error does not name \(name)")
  }
}

private func matches(_ value: GGUFValue, _ expected: JSON) -> Bool {
  switch expected {
  case .array(let elements):
    value.array.map { zip($0, elements).allSatisfy(matches) && $0.count == elements.count } ?? false
  case .string(let text): value.string == text
  case .bool(let flag): value.bool == flag
  case .number(let number): value.double == number
  case .null, .object: false
  }
}
