import Tensor

/// `scheduler_config.json` of CogVideoX: which of its two samplers, and the schedule that both take.
public struct CogVideoXScheduler: Sendable, Decodable {
  public enum Kind: String, Sendable {
    case ddim = "CogVideoXDDIMScheduler"
    case dpm = "CogVideoXDPMScheduler"
  }

  public var kind: Kind
  public var configuration: CogVideoXSchedule.Configuration

  public init(_ kind: Kind, _ configuration: CogVideoXSchedule.Configuration) {
    self.kind = kind
    self.configuration = configuration
  }

  private enum CodingKeys: String, CodingKey { case kind = "_class_name" }

  public init(from decoder: any Decoder) throws {
    let name = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .kind)
    guard let kind = Kind(rawValue: name) else {
      throw SchedulerError("_class_name", found: "'\(name)'", expected: "\(Kind.ddim.rawValue) or \(Kind.dpm.rawValue)")
    }
    self.init(kind, try CogVideoXSchedule.Configuration(from: decoder))
    try configuration.check()
  }

  /// The schedule and solver of a run.
  ///
  /// - Throws: `SchedulerError` for more steps than training timesteps
  public func sampler(steps: Int) throws -> any Sampler {
    let schedule = try CogVideoXSchedule(configuration, steps: steps)
    switch kind {
    case .ddim: return CogVideoXDDIMSampler(schedule)
    case .dpm: return CogVideoXDPMRun(CogVideoXDPMSampler(schedule))
    }
  }
}

extension CogVideoXSchedule {
  /// One per step. Noise and signal have squares that add up to 1; `sigma` is the noise's factor.
  var levels: [NoiseLevel] {
    timesteps.enumerated().map { level(timestep: $1, step: $0, of: timesteps.count) }
  }

  func level(timestep: Int, step: Int, of steps: Int) -> NoiseLevel {
    NoiseLevel(
      sigma: Float((1 - alpha(timestep)).squareRoot()), timestep: Float(timestep), step: step, steps: steps)
  }

  /// The training timestep whose noise is nearest.
  func level(sigma: Float, step: Int, of steps: Int) -> NoiseLevel {
    func distance(_ timestep: Int) -> Double { abs((1 - alpha(timestep)).squareRoot() - Double(sigma)) }
    let nearest = alphasCumulative.indices.min { distance($0) < distance($1) } ?? 0
    return level(timestep: nearest, step: step, of: steps)
  }

  func noised(_ clean: Tensor, noise: Tensor, at level: NoiseLevel) -> Tensor {
    noised(clean, noise: noise, timestep: Int(level.timestep))
  }
}

extension CogVideoXDDIMSampler: Sampler {
  public var levels: [NoiseLevel] { schedule.levels }

  public func level(sigma: Float, step: Int, of steps: Int) -> NoiseLevel {
    schedule.level(sigma: sigma, step: step, of: steps)
  }

  public func noised(_ clean: Tensor, noise: Tensor, at level: NoiseLevel) -> Tensor {
    schedule.noised(clean, noise: noise, at: level)
  }

  public func predictedClean(_ latents: Tensor, output: Tensor, at index: Int) -> Tensor {
    step(latents, output: output, timestep: schedule.timesteps[index]).predictedOriginal
  }

  public func step(_ latents: Tensor, output: Tensor, at index: Int, noise: () -> Tensor) -> Tensor {
    step(latents, output: output, timestep: schedule.timesteps[index]).sample
  }
}

/// The second-order sampler with what it remembers of the step before.
struct CogVideoXDPMRun: Sampler {
  let sampler: CogVideoXDPMSampler
  private var previous: (timestep: Int, original: Tensor)?

  init(_ sampler: CogVideoXDPMSampler) { self.sampler = sampler }

  var levels: [NoiseLevel] { sampler.schedule.levels }

  func level(sigma: Float, step: Int, of steps: Int) -> NoiseLevel {
    sampler.schedule.level(sigma: sigma, step: step, of: steps)
  }

  func noised(_ clean: Tensor, noise: Tensor, at level: NoiseLevel) -> Tensor {
    sampler.schedule.noised(clean, noise: noise, at: level)
  }

  var memory: [String: Tensor] {
    guard let previous else { return [:] }
    return ["timestep": Tensor(scalars: [Int64(previous.timestep)]), "original": previous.original]
  }

  mutating func recall(_ memory: [String: Tensor]) throws {
    if memory.isEmpty { return previous = nil }
    guard let timestep = memory["timestep"], timestep.dtype == .i64, timestep.count == 1,
      let original = memory["original"], original.dtype == .f32, memory.count == 2,
      let step = Int(exactly: timestep.scalars(as: Int64.self)[0]), sampler.schedule.timesteps.contains(step)
    else {
      throw SchedulerError(
        "memory", found: "\(memory.keys.sorted())", expected: "'original' and 'timestep' of this run")
    }
    previous = (step, original)
  }

  func predictedClean(_ latents: Tensor, output: Tensor, at index: Int) -> Tensor {
    let schedule = sampler.schedule
    return schedule.predictedOriginal(latents, output: output, alpha: schedule.alpha(schedule.timesteps[index]))
  }

  mutating func step(_ latents: Tensor, output: Tensor, at index: Int, noise: () -> Tensor) -> Tensor {
    let timestep = sampler.schedule.timesteps[index]
    let step = sampler.step(latents, output: output, timestep: timestep, previous: previous, noise: noise)
    previous = (timestep, step.predictedOriginal)
    return step.sample
  }
}
