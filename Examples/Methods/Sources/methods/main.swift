import EmbeddedModels
import Models

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What every example runs on.
let pipeline = try openPipeline("tiny-flux")
var failures = 0

/// Prints what was found, and whether it is as it should be.
func report(_ name: String, _ finding: String, holds: Bool) {
  print("\(holds ? "ok    " : "WRONG ")\(name): \(finding)")
  if !holds { failures += 1 }
}

/// A small picture in few steps.
func request(_ prompt: String, steps: Int = 2, seed: UInt64 = 1) -> GenerationRequest {
  var request = GenerationRequest(prompt)
  (request.width, request.height, request.steps, request.seed, request.trueCFG) = (64, 64, steps, seed, 1)
  return request
}

try lens()
try daam()
try probe()
try headTable()
try causalTracing()
try regions()
try crossAttentionModel()
exit(failures == 0 ? 0 : 1)
