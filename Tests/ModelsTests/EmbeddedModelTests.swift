import EmbeddedModels
import Models
import Tensor
import Testing

/// What comes along opens by its short name and draws.
@Suite struct EmbeddedModelTests {
  private func picture(_ prompt: String, _ model: EmbeddedModel) throws -> Tensor {
    var request = GenerationRequest(prompt)
    request.width = 64
    request.height = 64
    request.steps = 3
    return try openPipeline(model.rawValue).generate(request).frames[0, 0]
  }

  @Test(arguments: EmbeddedModel.allCases)
  func itDrawsAPictureThatThePromptDecides(model: EmbeddedModel) throws {
    let grass = try picture("grass", model), night = try picture("night", model)
    #expect(grass.shape == [3, 64, 64])
    #expect(grass.isIdentical(to: try picture("grass", model)))
    // Channel by channel, 0 … 1: grass is greener than it is blue, and a night is dark.
    #expect(grass[1].mean().item > grass[2].mean().item)
    #expect(night.mean().item < grass.mean().item)
  }

  @Test(arguments: EmbeddedModel.allCases)
  func itsSettingsAreThoseItWasTrainedFor(model: EmbeddedModel) throws {
    let defaults = try openPipeline(model.rawValue).defaults
    #expect(defaults.width == 128 && defaults.height == 128)
    #expect(defaults.maxSequenceLength == 16)
    #expect(defaults.layers?.isEmpty == false)
  }
}
