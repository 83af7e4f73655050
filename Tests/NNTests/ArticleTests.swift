import TestSupport
import Testing

/// Articles show code that is compiled here or run by the benchmarks.
@Suite struct ArticleTests {
  @Test func addingAModelShowsTheToyThatIsTested() throws {
    let blocks = try Article.blocks("swift", of: "Sources/NN/NN.docc/AddingAModel.md")
    let source = try Article.source("Tests/NNTests/ToyModel.swift")
    #expect(blocks.count == 4)
    for block in blocks { #expect(source.contains(block), "the article's code differs from the test's") }
  }

  @Test func benchmarkingAKernelShowsACaseThatIsRun() throws {
    let article = "Sources/Tensor/Tensor.docc/BenchmarkingAKernel.md"
    let parts = [
      ("swift", "Benchmarks/Sources/bench/Operations/Operations+Rows.swift"), ("json", "Benchmarks/cases.json"),
      ("python", "Benchmarks/peers/torch_bench.py"),
    ]
    for (language, path) in parts {
      let blocks = try Article.blocks(language, of: article)
      #expect(blocks.count == 1)
      for block in blocks { #expect(try Article.source(path).contains(block), "\(path)") }
    }
  }
}
