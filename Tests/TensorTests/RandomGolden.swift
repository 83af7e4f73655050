import Tensor
import TestSupport
import Testing

/// Output names say what was drawn: `<dtype>.seed<seed>.<draws>`, for instance `f32.seed42.rand-8-then-randn-17`.
func checkRandomNumbers(_ golden: GoldenCase) throws {
  for (name, expected) in try golden.outputs() {
    let parts = name.split(separator: ".", maxSplits: 2)
    try #require(parts.count == 3, "\(name)")
    let seed = try #require(UInt64(parts[1].dropFirst(4))), dtype = try #require(DType(rawValue: String(parts[0])))
    var generator = Generator(seed: seed)
    let drawn = try draw(String(parts[2]), dtype, &generator, name)
    if drawn.count == 1 { #expect(drawn[0].shape == expected.shape, "\(name)") }
    let values = drawn.flatMap { $0.converted(to: .f64).scalars(as: Double.self) }
    let reference = expected.converted(to: .f64).scalars(as: Double.self)
    #expect(drawn.allSatisfy { $0.dtype == expected.dtype }, "\(name)")
    // A last bit of f32 can turn the rounding to bf16: one step of 2^-8 of the value, no more.
    if dtype == .bf16 {
      for (value, want) in zip(values, reference) { #expect(abs(value - want) <= abs(want) / 128, "\(name)") }
      #expect(values.count == reference.count)
    } else {
      expectClose(values, reference, golden.tolerance, "\(golden.name) \(name)")
    }
  }
}

/// The tensors of `n20`, `shape2x3`, `consecutive-20-5`, `rand-8`, `randn-17`, `randint-0-1000-n20`, `randperm-13`,
/// or several of them joined by `-then-`, from one generator.
private func draw(
  _ draws: String, _ dtype: DType, _ generator: inout Generator, _ name: String
) throws -> [Tensor] {
  var result: [Tensor] = []
  for step in splitSteps(draws) {
    let numbers = step.split { !$0.isNumber }.compactMap { Int($0) }
    switch step.prefix(while: { $0.isLetter }) {
    case "n", "randn": result.append(generator.randn(numbers, dtype: dtype))
    case "shape": result.append(generator.randn(numbers, dtype: dtype))
    case "consecutive": for count in numbers { result.append(generator.randn([count], dtype: dtype)) }
    case "rand": result.append(generator.rand(numbers, dtype: dtype))
    case "randint": result.append(generator.randint([numbers[2]], low: numbers[0], high: numbers[1], dtype: dtype))
    case "randperm": result.append(generator.randperm(numbers[0]))
    default: Issue.record("\(name): nobody knows how to draw '\(step)'")
    }
  }
  return result
}

private func splitSteps(_ draws: String) -> [Substring] {
  var steps: [[Substring]] = [[]]
  for word in draws.split(separator: "-") {
    if word == "then" { steps.append([]) } else { steps[steps.count - 1].append(word) }
  }
  return steps.map { Substring($0.joined(separator: "-")) }
}
