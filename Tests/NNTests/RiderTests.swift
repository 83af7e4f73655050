import NN
import Tensor
import TestSupport
import Testing

/// Streams that processors bring along, and what a block's view offers of all streams.
@Suite struct RiderTests {
  private let model: ToyModel
  private let input = ToyModel.Input(batch: 2)

  init() throws { model = try ToyModel() }

  private func ride(_ riders: Rider...) throws -> (output: Tensor, views: [BlockView]) {
    let passenger = Passenger(riders)
    let run = try HookRun([passenger], on: model, pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 5), batch: 2))
    return (model(input, hooks: run), passenger.views)
  }

  private func embeddings(_ tokens: Int, batch: Int = 1) -> Tensor {
    var generator = Generator(seed: 9)
    return generator.randn([batch, tokens, ToyModel.dim])
  }

  @Test func nobodyReadsARiderSoTheModelsOwnStreamsKeepEveryBit() throws {
    let plain = try ride(), tokens = embeddings(4)
    let reads: [Set<StreamID>] = [["a", .image], [.text, .image], [.image], ["a"], []]
    for reads in reads {
      let ridden = try ride(
        Rider("a", embeddings: tokens, reads: reads), Rider("b", processedAs: .image, embeddings: tokens, reads: ["b"]))
      #expect(ridden.output.isIdentical(to: plain.output) && ridden.output.isIdentical(to: model(input)))
      for (old, new) in zip(plain.views, ridden.views) {
        for id in [StreamID.text, .image] {
          let pair = try (#require(old[id]), #require(new[id]))
          #expect(pair.0.output.isIdentical(to: pair.1.output) && pair.0.key.isIdentical(to: pair.1.key))
        }
      }
    }
  }

  @Test func aRiderAttendsToExactlyWhatItReads() throws {
    let reads: [Set<StreamID>] = [["a", .image], [.image], ["a"], [.text, "a"], []]
    for reads in reads {
      for view in try ride(Rider("a", embeddings: embeddings(2), reads: reads)).views {
        let rider = try #require(view["a"])
        let sources = view.streams.filter { reads.contains($0.id) }
        if sources.isEmpty {
          #expect(rider.output.isIdentical(to: rider.value))
          continue
        }
        let keys = concatenated(sources.map(\.rotatedKey), axis: 2),
          values = concatenated(sources.map(\.value), axis: 2)
        let weights = (Tensor.matmul(rider.rotatedQuery, keys.transposed()) * view.scale).softmax(-1)
        expectClose(rider.output, Tensor.matmul(weights, values), Tolerance(absolute: 1e-5), "\(reads)")
      }
    }
  }

  @Test func aRiderIsProcessedByTheWeightsItBorrows() throws {
    // With the text's tokens, reading what the text reads, a rider is the text over again.
    let twin = try ride(Rider("twin", embeddings: input.text, reads: [.text, .image])).views
    for view in twin {
      #expect(try #require(view["twin"]).output.isIdentical(to: #require(view[.text]).output))
      #expect(try !#require(view["twin"]).output.isIdentical(to: #require(view[.image]).output))
    }
  }

  @Test func aRiderOfABatchHasARowForEveryPicture() throws {
    let shared = try ride(Rider("a", embeddings: embeddings(2), reads: ["a", .image])).views[0]
    #expect(try #require(shared["a"]).output.shape == [2, 3, 2, 4])
    #expect(try !#require(shared["a"]).output[0].isIdentical(to: #require(shared["a"]).output[1]))
    let own = try ride(Rider("a", embeddings: embeddings(2, batch: 2), reads: ["a"])).views[0]
    #expect(try !#require(own["a"]).query[0].isIdentical(to: #require(own["a"]).query[1]))
  }

  @Test func aRiderTravelsThroughTheFamiliesItNames() throws {
    let here = try ride(Rider("a", embeddings: embeddings(2), reads: ["a"], families: ["toy"])).views
    #expect(here.allSatisfy { $0["a"] != nil })
  }

  @Test func queriesAndKeysAreOfferedBeforeAndAfterRotation() throws {
    for view in try ride().views {
      let image = try #require(view[.image]), text = try #require(view[.text])
      #expect(image.rotatedQuery.isIdentical(to: input.rotary.rotate(image.query)))
      #expect(image.rotatedKey.isIdentical(to: input.rotary.rotate(image.key)))
      #expect(!image.rotatedKey.isIdentical(to: image.key) && text.rotatedKey.isIdentical(to: text.key))
      #expect(image.mergedOutput.shape == [2, 5, ToyModel.dim] && image.output.shape == [2, 3, 5, 4])
    }
  }

  @Test func probabilitiesAreComputedForTheRowsAskedFor() throws {
    let view = try #require(try ride().views.first), image = try #require(view[.image]),
      text = try #require(view[.text])
    let rows = view.probabilities(query: .image, keys: [.text, .image], rows: 1..<3)
    #expect(rows.shape == [2, 3, 2, 8])
    let logits = concatenated(
      [view.logits(query: .image, key: .text), view.logits(query: .image, key: .image)], axis: -1)
    expectClose(rows, logits.softmax(-1).narrow(2, from: 1, count: 2), Tolerance(absolute: 1e-6))
    let product = Tensor.matmul(image.rotatedQuery, text.rotatedKey.transposed()) * view.scale
    expectClose(view.logits(query: .image, key: .text), product, Tolerance(absolute: 1e-5))
    #expect(view.probabilities(query: .image, rows: 1..<3).isIdentical(to: rows))
    // The weights of all image rows reproduce the output.
    let values = concatenated([text.value, image.value], axis: 2)
    let output = Tensor.matmul(view.probabilities(query: .image, keys: [.text, .image]), values)
    expectClose(output, image.output, Tolerance(absolute: 1e-5))
  }

  @Test func aStreamTheBlockDoesNotHaveIsNamed() async {
    let trap = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let model = try ToyModel(), passenger = Passenger([])
      _ = model(
        ToyModel.Input(batch: 1),
        hooks: try HookRun([passenger], on: model, pass: Pass(steps: 1, grid: TokenGrid(height: 1, width: 5))))
      _ = passenger.views[0].logits(query: .image, key: "nobody")
    }
    expectTrapText(trap, "logits: no stream 'nobody' in block toy.0")
  }
}

/// Brings riders along and keeps every block's view.
private final class Passenger: AttentionProcessor {
  private let passengers: [Rider]
  private(set) var views: [BlockView] = []

  init(_ passengers: [Rider]) { self.passengers = passengers }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    for passenger in passengers { hooks.board(passenger) }
    hooks.observe("*") { block, _ in self.views.append(block) }
  }
}
