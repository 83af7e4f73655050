import Foundation
import Models
import Tensor
import TestSupport
import Testing

@Suite struct FlowMatchEulerSchedulerTests {
  static func scheduler(_ json: String) throws -> FlowMatchEulerScheduler {
    try FlowMatchEulerScheduler(
      JSONDecoder().decode(FlowMatchEulerScheduler.Configuration.self, from: Data(json.utf8)))
  }

  static func expectSigmas(_ schedule: FlowMatchSchedule, _ expected: [Double]) {
    expectClose(schedule.sigmas.map { Double($0) }, expected, Tolerance(absolute: 1e-6), "sigmas")
  }

  // Values of diffusers 0.42 for options that no published FLUX or Stable Diffusion 3 configuration uses.
  @Test func terminalAndLinearShiftsAgreeWithDiffusers() throws {
    Self.expectSigmas(
      try Self.scheduler(#"{"shift": 3.0, "shift_terminal": 0.1}"#).schedule(steps: 4),
      [1, 0.870769202709198, 0.6387096643447876, 0.1, 0])
    Self.expectSigmas(
      try Self.scheduler(#"{"use_dynamic_shifting": true, "time_shift_type": "linear"}"#)
        .schedule(sigmas: FlowMatchEulerScheduler.evenLevels(steps: 4), dynamicShift: 2),
      [1, 0.8571428060531616, 2.0 / 3, 0.4, 0])
    Self.expectSigmas(
      try Self.scheduler(#"{"use_dynamic_shifting": true, "shift_terminal": 0.02}"#)
        .schedule(steps: 3, dynamicShift: 0.7), [1, 0.6746038198471069, 0.02, 0])
    Self.expectSigmas(
      try Self.scheduler(#"{"shift": 5.0}"#).schedule(sigmas: [1, 0.6, 0.3]),
      [1, 0.882352888584137, 0.6818181872367859, 0])
  }

  @Test func theTrueVelocityLeadsToThePicture() throws {
    let schedule = try Self.scheduler(#"{"shift": 3.0}"#).schedule(steps: 9)
    let clean = Tensor(scalars: [1, -2, 0.5, 4] as [Float], shape: [4])
    let noise = Tensor(scalars: [-1, 0.25, 3, 0] as [Float], shape: [4])
    var sample = schedule.noised(clean, noise: noise, index: 0)
    for index in 0..<schedule.steps { sample = schedule.step(sample, velocity: noise - clean, index: index) }
    expectClose(sample, clean, Tolerance(absolute: 1e-5), "end of the flow")
  }

  @Test(arguments: [
    "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas", "stochastic_sampling",
  ])
  func optionsThatAreNotBuiltAreRefused(_ option: String) throws {
    let error = #expect(throws: SchedulerError.self) { try Self.scheduler("{\"\(option)\": true}") }
    #expect(error?.key == option)
    _ = try Self.scheduler("{\"\(option)\": false}")
  }

  @Test func unsoundRequestsAreRefused() throws {
    let dynamic = try Self.scheduler(#"{"use_dynamic_shifting": true}"#)
    #expect(throws: SchedulerError.self) { try dynamic.schedule(steps: 4) }
    #expect(throws: SchedulerError.self) { try dynamic.schedule(steps: 0, dynamicShift: 1) }
    #expect(throws: SchedulerError.self) { try dynamic.schedule(steps: -3, dynamicShift: 1) }
    #expect(throws: SchedulerError.self) { try dynamic.schedule(sigmas: [], dynamicShift: 1) }
    #expect(throws: SchedulerError.self) { try dynamic.schedule(sigmas: [1, 0], dynamicShift: 1) }
    #expect(throws: SchedulerError.self) { try Self.scheduler(#"{"shift": 0}"#) }
    #expect(throws: SchedulerError.self) { try Self.scheduler(#"{"num_train_timesteps": 0}"#) }
    #expect(throws: (any Error).self) { try Self.scheduler(#"{"time_shift_type": "cubic"}"#) }
  }
}

@Suite struct CogVideoXScheduleTests {
  static func configuration(_ json: String) throws -> CogVideoXSchedule.Configuration {
    try JSONDecoder().decode(CogVideoXSchedule.Configuration.self, from: Data(json.utf8))
  }

  @Test func zeroTerminalSignalEndsWithPureNoise() throws {
    let schedule = try CogVideoXSchedule(
      Self.configuration(#"{"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"}"#), steps: 50)
    #expect(schedule.timesteps.first == 999)
    #expect(schedule.timesteps.count == 50)
    #expect(schedule.alphasCumulative.last == 0)
    #expect(zip(schedule.alphasCumulative, schedule.alphasCumulative.dropFirst()).allSatisfy { $0 > $1 })
  }

  @Test func leadingSpacingStartsWithTheOffset() throws {
    let schedule = try CogVideoXSchedule(Self.configuration(#"{"steps_offset": 1}"#), steps: 4)
    #expect(schedule.timesteps == [751, 501, 251, 1])
  }

  /// For some numbers of steps NumPy's range has a value more, a timestep of -1.
  @Test func everyNumberOfStepsIsThatOfTheSteps() throws {
    let configuration = try Self.configuration(#"{"timestep_spacing": "trailing"}"#)
    for steps in 1...1000 {
      let timesteps = try CogVideoXSchedule(configuration, steps: steps).timesteps
      #expect(timesteps.count == steps && timesteps.first == 999 && timesteps.allSatisfy { $0 >= 0 }, "\(steps)")
    }
  }

  @Test func anUnknownScheduleOfBetasIsRefused() {
    #expect(throws: DecodingError.self) { try Self.configuration(#"{"beta_schedule": "quadratic"}"#) }
  }

  @Test func theTrueVelocityLeadsToThePicture() throws {
    let configuration = try Self.configuration(
      #"{"rescale_betas_zero_snr": true, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}"#)
    let schedule = try CogVideoXSchedule(configuration, steps: 8)
    let clean = Tensor(scalars: [1, -2, 0.5, 4] as [Float], shape: [4])
    let noise = Tensor(scalars: [-1, 0.25, 3, 0] as [Float], shape: [4])
    var sample = noise
    for timestep in schedule.timesteps {
      let alpha = Float(schedule.alphasCumulative[timestep])
      let velocity = noise * alpha.squareRoot() - clean * (1 - alpha).squareRoot()
      sample = CogVideoXDDIMSampler(schedule).step(sample, output: velocity, timestep: timestep).sample
    }
    expectClose(sample, clean, Tolerance(absolute: 1e-4), "end of the run")
  }

  @Test func unsoundConfigurationsAreRefused() throws {
    for json in [
      #"{"trained_betas": [0.1]}"#, #"{"num_train_timesteps": 2, "trained_betas": [0.1, 1]}"#, #"{"beta_start": 0}"#,
      #"{"beta_end": 1.5}"#,
      #"{"snr_shift_scale": -1}"#, #"{"num_train_timesteps": 1}"#, #"{"steps_offset": -1}"#,
    ] {
      #expect(throws: SchedulerError.self, "\(json)") { try CogVideoXSchedule(Self.configuration(json), steps: 1) }
    }
    #expect(throws: SchedulerError.self) { try CogVideoXSchedule(Self.configuration("{}"), steps: 0) }
    #expect(throws: SchedulerError.self) { try CogVideoXSchedule(Self.configuration("{}"), steps: 1001) }
    #expect(throws: SchedulerError.self) {
      try CogVideoXSchedule(Self.configuration(#"{"steps_offset": 999}"#), steps: 4)
    }
  }
}
