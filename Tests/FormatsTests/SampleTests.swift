import Formats
import Foundation
import Tensor
import Testing

/// Numbers and texts in files that are pictures and arrays to others.
@Suite struct SampleTests {
  @Test func samplesAreNumbersAndNotLight() throws {
    let path = try folder().appendingPathComponent("labels.png").path
    try PNG.write(Tensor(scalars: [0, 300, 65535, 7] as [UInt16], shape: [2, 2]), to: path)
    let samples = try PNG.readSamples(path: path)
    #expect(samples.values.scalars(as: UInt16.self) == [0, 300, 65535, 7])
    #expect(samples.colorType == .grey && samples.bitDepth == 16 && samples.palette.isEmpty)
    #expect(throws: (any Error).self) { try PNG.readSamples(path: path + ".no") }
  }

  @Test func stringsOfAnArchiveComeBack() throws {
    let path = try folder().appendingPathComponent("a.npz").path
    var writer = try NpzWriter(path: path, compressed: true)
    try writer.write("names", strings: ["grün", "", "b, c"])
    try writer.write("id", strings: ["x/1"], shape: [])
    try writer.write("numbers", Tensor([1, 2]))
    try writer.finish()
    let file = try NpzFile(path: path)
    let names = try file.strings("names"), id = try file.strings("id")
    #expect(names == ["grün", "", "b, c"])
    #expect(id == ["x/1"])
    #expect(throws: NpyError.self) { try file.strings("numbers") }
    #expect(throws: NpyError.self) { try file.tensor("names") }
    #expect(throws: NpzError.self) { try file.strings("other") }
  }

  @Test(arguments: [0, 100, 128, 140]) func aMATLABFileThatIsCutOffIsAnError(_ length: Int) throws {
    let path = try folder().appendingPathComponent("a.mat").path
    var bytes = [UInt8](repeating: 32, count: 124) + [0, 1] + Array("IM".utf8) + [14, 0, 0, 0, 64, 0, 0, 0]
    bytes += [UInt8](repeating: 0, count: 16)
    try Data(bytes.prefix(length)).write(to: URL(fileURLWithPath: path))
    if length == 128 {
      let names = try MATLABFile(path: path).names
      #expect(names.isEmpty)
    } else {
      #expect(throws: (any Error).self) { try MATLABFile(path: path) }
    }
  }

  private func folder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("samples-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }
}
