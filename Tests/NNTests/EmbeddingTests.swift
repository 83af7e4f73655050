import NN
import Tensor
import Testing

@Suite struct EmbeddingTests {
  /// Three rows of one block of Q8_0: a scale of 0.5, then the codes.
  private struct Blocks: WeightSource {
    let names = ["weight"]
    func shape(of name: String) -> [Int]? { [3, 32] }
    func parameter(_ name: String) throws -> Parameter {
      let bytes: [UInt8] = [0, 40, 80].flatMap { (first: UInt8) in [0x00, 0x38] + (0..<32).map { first + $0 } }
      return .quantized(
        QuantizedMatrix(format: .q8_0, shape: [3, 32], storage: Tensor(scalars: bytes, shape: [102]).storage))
    }
  }

  @Test func rowsOfBlocksAreUnpackedAsTheyAreLookedUp() throws {
    let embedding = try load(from: Blocks()) { Embedding(3, 32, $0) }
    guard case .quantized = embedding.weight else {
      Issue.record("the table was unpacked")
      return
    }
    let rows = embedding(Tensor(scalars: [Int64(2), 0, 2, 1], shape: [2, 2]))
    #expect(rows.shape == [2, 2, 32])
    let expected: [Float] = [80, 0, 80, 40].flatMap { (first: Float) in (0..<32).map { (first + Float($0)) / 2 } }
    #expect(rows.floats == expected)
  }

  @Test func rowsOfHalvesComeAsFloats() throws {
    let table = Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2]).converted(to: .f16)
    let embedding = try load(from: DictionaryWeights(["weight": table])) { Embedding(3, 2, $0) }
    let rows = embedding(Tensor(scalars: [Int64(1), 2], shape: [2]))
    #expect(rows.dtype == .f32 && rows.floats == [3, 4, 5, 6])
  }
}
