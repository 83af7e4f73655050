// What scheduler_config.json says about a flow-matching run.

extension FlowMatchEulerScheduler: Decodable {
  public init(from decoder: any Decoder) throws { try self.init(Configuration(from: decoder)) }
}

extension FlowMatchEulerScheduler {
  /// The keys of `scheduler_config.json`; those that are absent have the reference's defaults.
  public struct Configuration: Sendable, Equatable, Decodable {
    /// How the dynamic shift enters.
    public enum TimeShift: String, Sendable, Decodable { case exponential, linear }

    public var trainTimesteps = 1000
    /// The fixed shift; 1 leaves the levels evenly spaced.
    public var shift = 1.0
    public var usesDynamicShifting = false
    public var baseShift = 0.5
    public var maxShift = 1.15
    public var baseImageSequenceLength = 256
    public var maxImageSequenceLength = 4096
    public var timeShift = TimeShift.exponential
    /// The level that the last step starts from, whatever the shift; nil for none.
    public var terminal: Double?
    /// Options that the configuration switches on and that are not built.
    public private(set) var unsupported: [String] = []

    public init() {}

    private enum Keys: String, CodingKey {
      case trainTimesteps = "num_train_timesteps"
      case shift
      case usesDynamicShifting = "use_dynamic_shifting"
      case baseShift = "base_shift"
      case maxShift = "max_shift"
      case baseImageSequenceLength = "base_image_seq_len"
      case maxImageSequenceLength = "max_image_seq_len"
      case timeShift = "time_shift_type"
      case terminal = "shift_terminal"
      case invertSigmas = "invert_sigmas"
      case karras = "use_karras_sigmas"
      case exponential = "use_exponential_sigmas"
      case beta = "use_beta_sigmas"
      case stochastic = "stochastic_sampling"
    }

    public init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: Keys.self)
      func value<Value: Decodable>(_ key: Keys, _ standard: Value) throws -> Value {
        try values.decodeIfPresent(Value.self, forKey: key) ?? standard
      }
      trainTimesteps = try value(.trainTimesteps, trainTimesteps)
      shift = try value(.shift, shift)
      usesDynamicShifting = try value(.usesDynamicShifting, usesDynamicShifting)
      baseShift = try value(.baseShift, baseShift)
      maxShift = try value(.maxShift, maxShift)
      baseImageSequenceLength = try value(.baseImageSequenceLength, baseImageSequenceLength)
      maxImageSequenceLength = try value(.maxImageSequenceLength, maxImageSequenceLength)
      timeShift = try value(.timeShift, timeShift)
      terminal = try values.decodeIfPresent(Double.self, forKey: .terminal)
      for key in [Keys.invertSigmas, .karras, .exponential, .beta, .stochastic] where try value(key, false) {
        unsupported.append(key.rawValue)
      }
    }

    /// The noise levels that evenly spaced schedules run between: those of the first and last training step.
    var trainingRange: (lowest: Double, highest: Double) {
      func level(_ timestep: Int) -> Double {
        let sigma = Float(timestep) / Float(trainTimesteps)
        let shift = Float(shift)
        return Double(usesDynamicShifting ? sigma : shift * sigma / (1 + (shift - 1) * sigma))
      }
      return (level(1), level(trainTimesteps))
    }

    func check() throws {
      if let option = unsupported.first {
        throw SchedulerError(option, found: "true", expected: "false; this option is not supported")
      }
      guard (1...1_000_000).contains(trainTimesteps) else {
        throw SchedulerError("num_train_timesteps", found: "\(trainTimesteps)", expected: "1 to 1000000")
      }
      // In single precision, as the reference computes, each of these still gives levels that are numbers.
      guard (1e-4...1e4).contains(shift) else {
        throw SchedulerError("shift", found: "\(shift)", expected: "a positive number, 0.0001 to 10000")
      }
      for (key, value) in [("base_shift", baseShift), ("max_shift", maxShift)] where !(-64...64).contains(value) {
        throw SchedulerError(key, found: "\(value)", expected: "-64 to 64")
      }
      let lengths = 1...1 << 24
      guard lengths.contains(baseImageSequenceLength) else {
        throw SchedulerError("base_image_seq_len", found: "\(baseImageSequenceLength)", expected: "1 to \(1 << 24)")
      }
      guard lengths.contains(maxImageSequenceLength), maxImageSequenceLength > baseImageSequenceLength else {
        throw SchedulerError(
          "max_image_seq_len", found: "\(maxImageSequenceLength)",
          expected: "more than base_image_seq_len, \(baseImageSequenceLength), and at most \(1 << 24)")
      }
      if let terminal, !(0..<1).contains(terminal) {
        throw SchedulerError("shift_terminal", found: "\(terminal)", expected: "0 or more and less than 1")
      }
    }
  }
}
