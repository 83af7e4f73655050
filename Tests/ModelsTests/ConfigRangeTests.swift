import Formats
import Foundation
import Models
import NN
import Tensor
import Testing

/// Numbers of configurations are refused before anything is allocated, multiplied or divided by them.
@Suite struct ConfigRangeTests {
  private func decode<Config: Decodable>(_ type: Config.Type, _ json: String) throws -> Config {
    try decodeJSON(type, MappedFile(contents: Array(json.utf8), name: "config.json"))
  }

  private static let flux: [String: String] = [
    "num_layers": "1", "num_single_layers": "1", "attention_head_dim": "16", "num_attention_heads": "2",
    "joint_attention_dim": "32", "pooled_projection_dim": "32", "axes_dims_rope": "[8, 4, 4]",
  ]

  private func flux(_ key: String, _ value: String) throws -> FluxConfig {
    let members = Self.flux.merging([key: value]) { $1 }.map { "\"\($0)\": \($1)" }
    return try decode(FluxConfig.self, "{\(members.joined(separator: ", "))}")
  }

  @Test(arguments: [
    ("out_channels", "-1"), ("out_channels", "2147483648"), ("in_channels", "0"), ("num_layers", "16777216"),
    ("num_attention_heads", "9223372036854775807"), ("attention_head_dim", "9223372036854775806"),
    ("axes_dims_rope", "[9223372036854775806, 4, 4]"), ("axes_dims_rope", "[8, 8]"), ("axes_dims_rope", "[7, 5, 4]"),
  ]) func fluxNamesTheNumber(key: String, value: String) throws {
    let error = #expect(throws: ModelError.self) { try flux(key, value) }
    let parts = error.map { "\($0)" }?.components(separatedBy: key) ?? []
    #expect(parts.count == 2 && parts[0].hasSuffix("'") && parts[1].hasPrefix("': "), "\(error as Any)")
  }

  @Test func fluxTakesWhatItShould() throws {
    #expect(try flux("num_layers", "2").numLayers == 2)
    #expect(try flux("out_channels", "null").outChannels == nil)
  }

  @Test(arguments: [
    ("shift", "1e308"), ("shift", "1e39"), ("shift", "1e-300"), ("shift", "0"), ("shift", "true"),
    ("base_image_seq_len", "-9223372036854775808"), ("max_image_seq_len", "9223372036854775807"),
    ("base_shift", "1e308"), ("max_shift", "-1e308"), ("num_train_timesteps", "0"), ("use_karras_sigmas", "true"),
  ]) func schedulersRefuseWhatIsNoNumberInSinglePrecision(key: String, value: String) {
    let error = #expect(throws: ModelError.self) { try decode(FlowMatchEulerScheduler.self, "{\"\(key)\": \(value)}") }
    #expect(error.map { "\($0)" }?.hasPrefix("config.json: '\(key)'") ?? false, "\(error as Any)")
  }

  @Test(arguments: [
    ("beta_start", "0"), ("num_train_timesteps", "1"), ("trained_betas", "[0.1]"), ("snr_shift_scale", "-1"),
    ("_class_name", "\"DDIMScheduler\""), ("prediction_type", "3"),
  ]) func schedulersOfVideosNameTheFileAndTheKey(key: String, value: String) {
    let members = ["_class_name": "\"CogVideoXDDIMScheduler\""].merging([key: value]) { $1 }
    let json = "{\(members.map { "\"\($0)\": \($1)" }.joined(separator: ", "))}"
    let error = #expect(throws: ModelError.self) { try decode(CogVideoXScheduler.self, json) }
    #expect(error.map { "\($0)" }?.hasPrefix("config.json: '\(key)'") ?? false, "\(error as Any)")
  }

  /// The line that shifts grow on is continued beyond its ends.
  @Test func aShiftThatLeavesTheRangeOfNumbersIsAnError() throws {
    let configuration = try decode(
      FlowMatchEulerScheduler.Configuration.self,
      #"{"use_dynamic_shifting": true, "base_shift": 0, "max_shift": 64, "base_image_seq_len": 1, "max_image_seq_len": 2}"#
    )
    let scheduler = try FlowMatchEulerScheduler(configuration)
    #expect(throws: SchedulerError.self) {
      try scheduler.schedule(steps: 4, dynamicShift: scheduler.dynamicShift(imageTokens: 4096))
    }
  }

  @Test(arguments: [
    #"{"block_out_channels": [65536, 65536, 131072]}"#, #"{"block_out_channels": [32], "layers_per_block": 16777216}"#,
    #"{"block_out_channels": [32], "in_channels": 4}"#, #"{"block_out_channels": [32], "scaling_factor": 1e39}"#,
    #"{"block_out_channels": [32], "shift_factor": -1e300}"#, #"{"block_out_channels": []}"#,
  ]) func autoencoders(json: String) {
    #expect(throws: ModelError.self) { try decode(AutoencoderKLConfig.self, json) }
  }

  /// Nothing is allocated for weights that are not there, however large they are said to be.
  @Test func aModelOfNothingCostsNothing() throws {
    let config = try decode(
      AutoencoderKLConfig.self, #"{"block_out_channels": [65536, 65536, 65536], "norm_num_groups": 1}"#)
    Memory.resetPeak()
    let before = Memory.peak
    let report = #expect(throws: WeightReport.self) {
      try load(from: DictionaryWeights([:])) { AutoencoderKL(config, $0) }
    }
    // One of its weights would be 144 GB; other tests run beside this one.
    #expect(Memory.peak - before < 1 << 32)
    #expect((report?.description.count ?? .max) < 4000)
  }

  @Test func reportsOfManyWeightsStayShort() throws {
    let shapes = DictionaryWeights(
      Dictionary(uniqueKeysWithValues: (0..<3000).map { ("layers.\($0).weight", Tensor(zeros: [1, 1])) }))
    let report = #expect(throws: WeightReport.self) {
      try load(from: shapes) { w in (0..<3000).map { Linear(2, 2, bias: false, w["layers"][$0]) } }
    }
    #expect(report?.problems.count == 1000)
    #expect((report?.description.split(separator: "\n").count ?? .max) < 60)
  }
}
