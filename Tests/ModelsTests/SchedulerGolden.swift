import Foundation
import Models
import Tensor
import TestSupport
import Testing

/// The configuration of a scheduler case, read as `scheduler_config.json` is.
func schedulerConfiguration<Configuration: Decodable>(_ golden: GoldenCase) throws -> Configuration {
  let whole = try JSONSerialization.jsonObject(
    with: Data(contentsOf: golden.folder.appendingPathComponent("case.json")))
  let config = try #require((whole as? [String: Any])?["config"] as? [String: Any])
  let arguments = try JSONSerialization.data(withJSONObject: try #require(config["args"]))
  return try JSONDecoder().decode(Configuration.self, from: arguments)
}

private func expect(_ name: String, _ values: [Double], _ golden: GoldenCase, _ outputs: [String: Tensor]) throws {
  let expected = try #require(outputs[name]).converted(to: .f64).scalars(as: Double.self)
  expectClose(values, expected, golden.tolerance, "\(golden.name) \(name)")
}

func checkFlowEuler(_ golden: GoldenCase) throws {
  let scheduler = try FlowMatchEulerScheduler(schedulerConfiguration(golden))
  let (inputs, outputs) = (try golden.inputs(), try golden.outputs())
  let steps = try #require(golden.config.steps.int)
  let shift = golden.config.mu_from_seq_len.int.map { scheduler.dynamicShift(imageTokens: $0) }
  if let shift { try expect("mu", [shift], golden, outputs) }
  let schedule =
    golden.config.sigmas.string == "flux"
    ? try scheduler.schedule(sigmas: FlowMatchEulerScheduler.evenLevels(steps: steps), dynamicShift: shift)
    : try scheduler.schedule(steps: steps, dynamicShift: shift)
  try expect("sigmas", schedule.sigmas.map { Double($0) }, golden, outputs)
  try expect("timesteps", schedule.timesteps.map { Double($0) }, golden, outputs)
  let velocities = try #require(inputs["model_outputs"])
  let trajectory = try #require(outputs["trajectory"])
  var sample = try #require(inputs["sample"])
  let noised = schedule.noised(try #require(inputs["clean"]), noise: sample, index: 1)
  expectClose(noised, try #require(outputs["scale_noise"]), golden.tolerance, "\(golden.name) scale_noise")
  for index in 0..<schedule.steps {
    sample = schedule.step(sample, velocity: velocities[index], index: index)
    expectClose(sample, trajectory[index], golden.tolerance, "\(golden.name) step \(index)")
  }
}

func checkCogVideoXDDIM(_ golden: GoldenCase) throws {
  let schedule = try CogVideoXSchedule(
    schedulerConfiguration(golden), steps: try #require(golden.config.steps.int))
  let sampler = CogVideoXDDIMSampler(schedule)
  let (inputs, outputs) = (try golden.inputs(), try golden.outputs())
  try expect("timesteps", schedule.timesteps.map { Double($0) }, golden, outputs)
  try expect("alphas_cumprod", schedule.alphasCumulative, golden, outputs)
  try expect("final_alpha_cumprod", [schedule.finalAlphaCumulative], golden, outputs)
  let velocities = try #require(inputs["model_outputs"])
  let trajectory = try #require(outputs["trajectory"])
  let originals = try #require(outputs["pred_original"])
  var sample = try #require(inputs["sample"])
  let noised = schedule.noised(try #require(inputs["clean"]), noise: sample, timestep: schedule.timesteps[1])
  expectClose(noised, try #require(outputs["add_noise"]), golden.tolerance, "\(golden.name) add_noise")
  for (index, timestep) in schedule.timesteps.enumerated() {
    let step = sampler.step(sample, output: velocities[index], timestep: timestep)
    expectClose(step.predictedOriginal, originals[index], golden.tolerance, "\(golden.name) original \(index)")
    expectClose(step.sample, trajectory[index], golden.tolerance, "\(golden.name) step \(index)")
    sample = step.sample
  }
}

/// Draws the noise of every step that asks for some, in order, from the seed of the case.
func checkCogVideoXDPM(_ golden: GoldenCase) throws {
  let schedule = try CogVideoXSchedule(
    schedulerConfiguration(golden), steps: try #require(golden.config.steps.int))
  let sampler = CogVideoXDPMSampler(schedule)
  let (inputs, outputs) = (try golden.inputs(), try golden.outputs())
  try expect("timesteps", schedule.timesteps.map { Double($0) }, golden, outputs)
  var generator = Generator(seed: UInt64(try #require(golden.config.noise_seed.int)))
  let velocities = try #require(inputs["model_outputs"])
  let trajectory = try #require(outputs["trajectory"])
  let originals = try #require(outputs["pred_original"])
  var sample = try #require(inputs["sample"])
  var previous: (timestep: Int, original: Tensor)?
  for (index, timestep) in schedule.timesteps.enumerated() {
    let step = sampler.step(sample, output: velocities[index], timestep: timestep, previous: previous) {
      generator.randn(sample.shape)
    }
    expectClose(step.predictedOriginal, originals[index], golden.tolerance, "\(golden.name) original \(index)")
    expectClose(step.sample, trajectory[index], golden.tolerance, "\(golden.name) step \(index)")
    sample = step.sample
    previous = (timestep, step.predictedOriginal)
  }
}
