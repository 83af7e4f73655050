import Foundation
import Tensor
import TestSupport
import Testing

@Suite struct LinearTests {
  static let edges = [1, 2, 5, 8, 9, 16, 17, 47, 48, 49, 97]

  @Test(arguments: Kernels.available, [DType.f32, .bf16, .f16])
  func agreesWithDoublePrecisionAtEverySize(_ kernels: Kernels, _ dtype: DType) {
    var numbers = TestNumbers(seed: 1)
    for (index, rows) in Self.edges.enumerated() {
      for depth in [0, 1, 31, 33, 191, 193, 390] {
        let columns = Self.edges[(index * 7 + depth) % Self.edges.count]
        let x = numbers.tensor(rows, depth), weight = numbers.tensor(columns, depth, dtype: dtype)
        let result = Kernels.with(kernels) { Tensor.linear(x, weight: weight) }
        #expect(result.shape == [rows, columns] && result.dtype == .f32)
        ProductReference(x, weight).expect(
          result, operandsRounded: dtype == .bf16, "\(rows)x\(depth)x\(columns) \(dtype) \(kernels)")
      }
    }
  }

  @Test(arguments: Kernels.available)
  func nothingIsRoundedWherePrecisionIsFloat(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 11)
    for (rows, depth, columns) in [(1, 390, 97), (5, 33, 49), (40, 800, 33)] {
      let x = numbers.tensor(rows, depth), weight = numbers.tensor(columns, depth, dtype: .bf16)
      let result = Kernels.with(kernels) { ComputePrecision.with(.float) { Tensor.linear(x, weight: weight) } }
      ProductReference(x, weight).expect(result, "\(rows)x\(depth)x\(columns) \(kernels)")
    }
  }

  /// More of everything than one block, panel, chunk or slab holds, in the order in which each ends.
  @Test(arguments: Kernels.available)
  func largeProductsAgreeWithPartsOfThem(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 12)
    let x = numbers.tensor(70, 1650), weight = numbers.tensor(340, 1650, dtype: .bf16)
    Kernels.with(kernels) {
      let whole = Tensor.linear(x, weight: weight)
      for rows in [0..<1, 3..<34, 16..<70] {
        for columns in [0..<33, 95..<97, 96..<340] {
          let part = Tensor.linear(x[rows], weight: weight[columns])
          #expect(part.isIdentical(to: whole[rows, columns]), "rows \(rows), columns \(columns), \(kernels)")
        }
      }
      for row in [0, 33, 69] {
        ProductReference(x[row..<row + 1], weight).expect(
          whole[row..<row + 1], operandsRounded: true, "row \(row) \(kernels)")
      }
    }
  }

  @Test(arguments: Kernels.available)
  func epilogueIsBiasThenActivationThenGateThenResidual(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 2)
    let x = numbers.tensor(2, 7, 40), weight = numbers.tensor(53, 40), bias = numbers.tensor(53)
    let gate = numbers.tensor(2, 1, 53), residual = numbers.tensor(2, 7, 53)
    let (b, g, r) = (bias.floats, gate.floats, residual.floats)
    for activation in Activation.allCases {
      for dtype in [DType.f32, .bf16] {
        let result = Kernels.with(kernels) {
          Tensor.linear(
            x, weight: weight, bias: bias, activation: activation, gate: gate, residual: residual, outputDType: dtype)
        }
        #expect(result.dtype == dtype)
        ProductReference(x.reshaped(14, 40), weight) { row, column, sum in
          let gateValue = Double(g[row / 7 * 53 + column])
          return Double(r[row * 53 + column]) + gateValue * Self.apply(activation, sum + Double(b[column]))
        }.expect(result, "\(activation) \(kernels)")
      }
    }
  }

  @Test(arguments: Kernels.available)
  func activationsHoldAtTheEndsOfTheRange(_ kernels: Kernels) {
    let points: [Float] = [-1e30, -200, -88, -20, -5, -1e-3, 0, 1e-3, 5, 20, 88, 200, 1e30]
    let x = Tensor(points, shape: [points.count, 1]), one = Tensor(ones: [1, 1])
    for activation in Activation.allCases {
      let result = Kernels.with(kernels) { Tensor.linear(x, weight: one, activation: activation).floats }
      for (point, value) in zip(points, result) {
        let expected = Self.apply(activation, Double(point))
        #expect(
          abs(Double(value) - expected) <= 1e-6 * max(1, abs(Double(point))), "\(activation)(\(point)) \(kernels)")
      }
      let nan = Kernels.with(kernels) {
        Tensor.linear(Tensor([.nan], shape: [1, 1]), weight: one, activation: activation)
      }
      #expect(nan.item.isNaN, "\(activation)(nan)")
    }
  }

  @Test(arguments: Kernels.available, [DType.f32, .bf16, .f16])
  func aRowHasTheSameBitsInAnyCompany(_ kernels: Kernels, _ dtype: DType) {
    var numbers = TestNumbers(seed: 3)
    let x = numbers.tensor(37, 419), weight = numbers.tensor(101, 419, dtype: dtype), bias = numbers.tensor(101)
    func linear(_ inputs: [LinearInput]) -> [[Float]] {
      Kernels.with(kernels) {
        Tensor.linear(inputs, weight: weight, bias: bias, activation: .geluTanh).map(\.floats)
      }
    }
    let together = linear([LinearInput(x)])[0]
    let alone = (0..<37).flatMap { linear([LinearInput(x[$0].unsqueezed(0))])[0] }
    #expect(together == alone)
    let inSegments = linear([LinearInput(x[..<3]), LinearInput(x[3..<4]), LinearInput(x[4...])]).flatMap { $0 }
    #expect(together == inSegments)
    #expect(together == withThreads(1) { linear([LinearInput(x)])[0] })
    #expect(together == withThreads(3) { linear([LinearInput(x)])[0] })
    // More rows than one slab of packed rows holds.
    let many = linear([LinearInput(x.unsqueezed(0).broadcast(to: [15, 37, 419]))])[0]
    #expect((0..<15).allSatisfy { Array(many[($0 * together.count)..<(($0 + 1) * together.count)]) == together })
  }

  @Test(arguments: Kernels.available)
  func segmentsHaveGatesAndResidualsOfTheirOwn(_ kernels: Kernels) {
    var numbers = TestNumbers(seed: 4)
    let weight = numbers.tensor(50, 24, dtype: .bf16)
    let inputs = [
      LinearInput(numbers.tensor(2, 9, 24), gate: numbers.tensor(2, 1, 50), residual: numbers.tensor(2, 9, 50)),
      LinearInput(numbers.tensor(3, 24), gate: numbers.tensor(50)),
      LinearInput(numbers.tensor(0, 24)),
      LinearInput(numbers.tensor(1, 24), residual: numbers.tensor(50)),
    ]
    Kernels.with(kernels) {
      let together = Tensor.linear(inputs, weight: weight)
      for (input, result) in zip(inputs, together) {
        let alone = Tensor.linear(input.x, weight: weight, gate: input.gate, residual: input.residual)
        #expect(result.shape == alone.shape && result.floats == alone.floats)
        let parts = [input.x.shape.dropLast() + [50]][0]
        let plain = Tensor.linear(input.x, weight: weight).floats
        let gate = input.gate?.broadcast(to: Array(parts)).floats,
          rest = input.residual?.broadcast(to: Array(parts)).floats
        for index in plain.indices {
          let expected = (rest?[index] ?? 0) + (gate?[index] ?? 1) * plain[index]
          #expect(abs(result.floats[index] - expected) < 1e-5)
        }
      }
    }
  }

  @Test(arguments: Kernels.available, [DType.f32, .bf16, .f16])
  func stridesDoNotMatter(_ kernels: Kernels, _ dtype: DType) {
    var numbers = TestNumbers(seed: 5)
    let x = numbers.tensor(2, 11, 70, dtype: dtype), weight = numbers.tensor(60, 70, dtype: dtype)
    Kernels.with(kernels) {
      let plain = Tensor.linear(x, weight: weight).floats
      let transposed = x.transposed().contiguous().transposed()
      #expect(Tensor.linear(transposed, weight: weight).floats == plain)
      #expect(Tensor.linear(x, weight: weight.transposed().contiguous().transposed()).floats == plain)
      let backwards = Tensor.linear(x.flipped(2), weight: weight.flipped(1).contiguous().flipped(0).flipped(0))
      ProductReference(x.reshaped(22, 70), weight).expect(backwards, operandsRounded: dtype == .bf16, "\(kernels)")
      let wide = numbers.tensor(60, 140, dtype: dtype)
      let skipping = wide[.all, .every(2)]
      #expect(Tensor.linear(x, weight: skipping).floats == Tensor.linear(x, weight: skipping.contiguous()).floats)
    }
  }

  @Test(arguments: Kernels.available, [DType.f32, .bf16, .f16])
  func weightsAreReadFromAnUnalignedMapping(_ kernels: Kernels, _ dtype: DType) throws {
    var numbers = TestNumbers(seed: 6)
    for (rows, depth) in [(1, 63), (5, 63), (5, 64), (17, 64), (40, 63)] {
      let x = numbers.tensor(rows, depth), weight = numbers.tensor(49, depth, dtype: dtype)
      // The block ends with the last weight, so that reading past it is a fault the sanitizer can see.
      let owner = UnalignedBytes(weight.bytes)
      let storage = Storage(mapped: owner.address, byteCount: weight.byteCount, owner: owner)
      let mapped = Tensor(storage: storage, dtype: dtype, shape: weight.shape)
      Kernels.with(kernels) {
        let (result, expected) = (Tensor.linear(x, weight: mapped), Tensor.linear(x, weight: weight))
        #expect(result.isIdentical(to: expected), "\(rows)x\(depth)")
      }
    }
  }

  @Test func emptyInputsGiveEmptyResults() {
    let weight = Tensor(ones: [3, 4])
    #expect(Tensor.linear(Tensor(zeros: [0, 4]), weight: weight).shape == [0, 3])
    #expect(Tensor.linear(Tensor(zeros: [2, 4]), weight: Tensor(zeros: [0, 4])).shape == [2, 0])
    let bias = Tensor([1, 2, 3])
    let noDepth = Tensor.linear(Tensor(zeros: [2, 0]), weight: Tensor(zeros: [3, 0]), bias: bias)
    #expect(noDepth.floats == [1, 2, 3, 1, 2, 3])
  }

  @Test func mistakesNameTheShapes() async throws {
    let depth = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.linear(Tensor(zeros: [2, 3]), weight: Tensor(zeros: [5, 4]))
      })
    #expect(depth.standardErrorText.contains("linear: input [2, 3] does not fit weight [5, 4]"))
    let bias = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.linear(Tensor(zeros: [2, 3]), weight: Tensor(zeros: [5, 3]), bias: Tensor(zeros: [3]))
      })
    #expect(bias.standardErrorText.contains("linear: bias [3] does not fit weight [5, 3]"))
    let gate = try #require(
      await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
        _ = Tensor.linear(Tensor(zeros: [2, 3]), weight: Tensor(zeros: [5, 3]), gate: Tensor(zeros: [3, 5]))
      })
    #expect(gate.standardErrorText.contains("[3, 5]") && gate.standardErrorText.contains("[2, 5]"))
  }

  static func apply(_ activation: Activation, _ x: Double) -> Double {
    switch activation {
    case .identity: x
    case .geluTanh: 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .gelu: 0.5 * x * (1 + erf(x / 2.0.squareRoot()))
    case .silu: x / (1 + exp(-x))
    case .quickGELU: x / (1 + exp(-1.702 * x))
    }
  }
}

extension ExitTest.Result {
  var standardErrorText: String { String(decoding: standardErrorContent, as: UTF8.self) }
}

/// Bytes at an odd address, ending where their block ends.
private final class UnalignedBytes: Sendable {
  nonisolated(unsafe) private let block: UnsafeMutableRawPointer
  var address: UnsafeRawPointer { UnsafeRawPointer(block + 1) }

  init(_ bytes: [UInt8]) {
    block = .allocate(byteCount: bytes.count + 1, alignment: 1)
    bytes.withUnsafeBytes { source in
      if let base = source.baseAddress { (block + 1).copyMemory(from: base, byteCount: bytes.count) }
    }
  }
  deinit { block.deallocate() }
}
