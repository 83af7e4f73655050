import Formats
import Tensor
import TestSupport
import Testing

/// Shape and values of every valid file; the malformed ones are refused with an error that names them.
func checkNpyFiles(_ golden: GoldenCase) throws {
  let outputs = try golden.outputs()
  #expect(!golden.config.files.array.isEmpty && !golden.config.malformed.array.isEmpty)
  for entry in golden.config.files.array {
    let name = try #require(entry.file.string)
    let tensor = try Npy.read(path: golden.path(name))
    #expect(tensor.shape == entry.shape.ints, "\(name)")
    expectClose(tensor.converted(to: .f32), try #require(outputs["f32." + name]), golden.tolerance, name)
  }
  for name in golden.config.malformed.strings {
    let error = #expect(throws: NpyError.self, "\(name)") { try Npy.read(path: golden.path(name)) }
    #expect(error?.description.contains(name) == true, "the error does not name \(name)")
  }
}
