import Formats
import Tensor
import TestSupport
import Testing

/// Names, metadata, raw bytes, shapes and values of every tensor of a valid file.
func checkSafetensorsFile(_ golden: GoldenCase) throws {
  let file = try SafetensorsFile(path: golden.path(#require(golden.config.file.string)))
  #expect(file.metadata == golden.config.metadata.object.compactMapValues(\.string))
  let outputs = try golden.outputs()
  let expectedNames = outputs.keys.filter { $0.hasPrefix("bytes.") }.map { String($0.dropFirst(6)) }
  #expect(file.names.sorted() == expectedNames.sorted())
  for (key, expected) in outputs {
    let parts = key.split(separator: ".", maxSplits: 1)
    let tensor = try file.tensor(String(try #require(parts.last)))
    switch parts[0] {
    case "bytes": #expect(tensor.bytes == expected.bytes, "\(key)")
    case "shape": #expect(tensor.shape.map(Int64.init) == expected.scalars(as: Int64.self), "\(key)")
    case "f32": expectClose(tensor.converted(to: .f32), expected, golden.tolerance, key)
    default: Issue.record("\(golden.name): output '\(key)' of unknown meaning")
    }
  }
}

/// Every file is refused with an error that names it, or, where the case allows both, read.
func checkMalformedSafetensors(_ golden: GoldenCase) throws {
  #expect(!golden.config.files.array.isEmpty)
  for entry in golden.config.files.array {
    let name = try #require(entry.file.string)
    if entry.expect.string?.hasPrefix("either") == true {
      if let file = try? SafetensorsFile(path: golden.path(name)) { #expect(file.names.count == 1, "\(name)") }
      continue
    }
    let error = #expect(throws: SafetensorsError.self, "\(name)") { try SafetensorsFile(path: golden.path(name)) }
    #expect(error?.description.contains(name) == true, "the error does not name \(name)")
  }
}
