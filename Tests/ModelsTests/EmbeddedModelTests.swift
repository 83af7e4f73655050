import EmbeddedModels
import Formats
import Foundation
import Models
import Tensor
import Testing

/// What comes along opens by its short name and draws. Of a video its first frame is looked at.
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
    var request = GenerationRequest("a boat on the sea under the sky")
    request.seeds = [1]
    try expectNear(try openPipeline(model.rawValue).generate(request).image(), model)
  }

  /// Every second frame, in a row.
  @Test func theSameSeedGivesTheVideoOfDiffusers() throws {
    var request = GenerationRequest("a boat drifting right on the sea under the sky")
    request.seeds = [1]
    let video = try openPipeline("tiny-cogvideox").generate(request).video()
    #expect(video.shape == [17, 64, 64, 3])
    let shown = stride(from: 0, to: 17, by: 2).map { video[$0] }
    try expectNear(concatenated(shown, axis: 1), .tinyCogVideoX)
  }

  private func expectNear(_ picture: Tensor, _ model: EmbeddedModel) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/embedded_models")
    let expected = try Image.read(path: folder.appendingPathComponent("\(model.rawValue).png").path)
    #expect(picture.shape == expected.shape)
    let difference = (picture.converted(to: .f32) - expected.converted(to: .f32)).absolute()
    #expect(difference.amax().item <= 16 && difference.mean().item <= 0.5)
  }

  @Test(arguments: EmbeddedModel.allCases)
  func itsSettingsAreThoseItWasTrainedFor(model: EmbeddedModel) throws {
    let defaults = try openPipeline(model.rawValue).defaults
    let isVideo = model == .tinyCogVideoX, side = isVideo ? 64 : 128
    #expect(defaults.width == side && defaults.height == side)
    #expect(defaults.frames == (isVideo ? 17 : nil))
    #expect(defaults.maxSequenceLength == 16)
    #expect(defaults.layers?.isEmpty == false)
  }
}
