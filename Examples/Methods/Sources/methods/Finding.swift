import Models

/// What an example found, and whether it is as it should be.
struct Finding {
  let name, text: String
  let holds: Bool

  init(_ name: String, _ text: String, holds: Bool) {
    self.name = name
    self.text = text
    self.holds = holds
  }
}

/// A small picture in few steps.
func request(_ prompt: String, steps: Int = 2, seed: UInt64 = 1) -> GenerationRequest {
  var request = GenerationRequest(prompt)
  (request.width, request.height, request.steps, request.seed, request.trueCFG) = (64, 64, steps, seed, 1)
  return request
}
