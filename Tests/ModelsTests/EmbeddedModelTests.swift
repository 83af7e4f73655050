import EmbeddedModels
import Formats
import Foundation
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

  /// The pictures are diffusers', by `sample.py` of the scripts that train the models, which rounds elsewhere.
  @Test(arguments: [EmbeddedModel.tinyFlux, .tinySD3])
  func theSameSeedGivesThePictureOfDiffusers(model: EmbeddedModel) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/embedded_models")
    let expected = try Image.read(path: folder.appendingPathComponent("\(model.rawValue).png").path)
    var request = GenerationRequest("a boat on the sea under the sky")
    request.seeds = [1]
    let picture = try openPipeline(model.rawValue).generate(request).image()
    #expect(picture.shape == expected.shape)
    let difference = (picture.converted(to: .f32) - expected.converted(to: .f32)).absolute()
    #expect(difference.amax().item <= 16 && difference.mean().item <= 0.5)
  }

  @Test(arguments: EmbeddedModel.allCases)
  func itsSettingsAreThoseItWasTrainedFor(model: EmbeddedModel) throws {
    let defaults = try openPipeline(model.rawValue).defaults
    #expect(defaults.width == 128 && defaults.height == 128)
    #expect(defaults.maxSequenceLength == 16)
    #expect(defaults.layers?.isEmpty == false)
  }
}
