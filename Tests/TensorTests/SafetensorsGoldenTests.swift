import Tensor
import TestSupport
import Testing

/// Golden cases of kind `safetensors_file` and `safetensors_malformed`.
@Suite struct SafetensorsGoldenTests {
  struct FileConfig: Decodable {
    let file: String
    let metadata: [String: String]?
  }

  @Test(arguments: ["safetensors-all-dtypes", "safetensors-no-tensors", "safetensors-unusual-layout"])
  func fileMatchesTheReference(_ name: String) throws {
    let config = try FormatFixtures.config("formats/\(name)", as: FileConfig.self)
    let file = try SafetensorsFile(path: FormatFixtures.path("formats/\(name)/\(config.file)"))
    #expect(file.metadata == config.metadata ?? [:])
    guard name != "safetensors-no-tensors" else { return #expect(file.names.isEmpty) }
    let expected = try SafetensorsFile(path: FormatFixtures.path("formats/\(name)/io.safetensors"))
    #expect(Set(expected.names.filter { $0.hasPrefix("out.bytes.") }) == Set(file.names.map { "out.bytes." + $0 }))
    for tensorName in file.names {
      let tensor = try file.tensor(tensorName)
      #expect(try tensor.bytes == expected.tensor("out.bytes." + tensorName).bytes, "\(tensorName)")
      #expect(try tensor.shape.map(Int64.init) == expected.tensor("out.shape." + tensorName).scalars(as: Int64.self))
      if let values = expected["out.f32." + tensorName], ![.f8e4m3, .f8e5m2].contains(tensor.dtype) {
        expectClose(tensor.converted(to: .f32), values, Tolerance(absolute: 0), tensorName)
      }
    }
  }

  struct MalformedConfig: Decodable {
    struct File: Decodable, Sendable, CustomTestStringConvertible {
      let file: String
      var testDescription: String { file }
    }
    let files: [File]
  }

  @Test func everyMalformedFileIsRefused() throws {
    let config = try FormatFixtures.config("formats/safetensors-malformed", as: MalformedConfig.self)
    #expect(config.files.count == 43)
    for file in config.files {
      let path = FormatFixtures.path("formats/safetensors-malformed/\(file.file)")
      if file.file == "json-leading-space.safetensors" {  // allowed by the reference library
        #expect(try SafetensorsFile(path: path).names.count == 1)
        continue
      }
      let error = #expect(throws: SafetensorsError.self, "\(file.file)") { try SafetensorsFile(path: path) }
      #expect(error?.description.contains(file.file) == true)
    }
  }
}
