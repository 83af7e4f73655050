import Tensor
import Testing

/// The library from eight tasks at once, while the number of threads changes: every result has the bits of one task alone.
extension ThreadCountTests {
  private static func work(_ seed: UInt64) -> [Tensor] {
    var generator = Generator(seed: seed)
    let x = generator.randn([40, 96]), w = generator.randn([64, 96]), image = generator.randn([1, 4, 12, 12])
    let kernel = generator.randn([4, 4, 3, 3])
    let y = Tensor.linear(x, weight: w, activation: .geluTanh)
    return [
      y, y.softmax(-1), x.sum(0), Tensor.conv2d(image, weight: kernel, padding: PerAxis(1)), (x * 2 + 1).silu(),
      Tensor.linear(x.converted(to: .bf16).converted(to: .f32), weight: w.converted(to: .bf16)),
    ]
  }

  @Test func eightTasksGetWhatOneGets() async {
    let expected = (0..<8).map { Self.work(UInt64($0)) }
    let threads = Threads.count
    defer { Threads.count = threads }
    await withTaskGroup(of: Bool.self) { group in
      for task in 0..<8 {
        group.addTask {
          var isSame = true
          for round in 0..<25 {
            if task == 0 { Threads.count = 1 + round % 4 }
            for (found, wanted) in zip(Self.work(UInt64(task)), expected[task]) where !found.isIdentical(to: wanted) {
              isSame = false
            }
          }
          return isSame
        }
      }
      for await isSame in group { #expect(isSame) }
    }
  }
}
