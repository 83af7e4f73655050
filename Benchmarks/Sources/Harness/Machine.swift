import CPeak
import Glibc

/// What this machine can do at a number of threads, measured in this process.
public struct Machine: Sendable, Codable {
  public var cpu: String
  public var threads: Int
  /// Multiply-adds on registers, 10⁹ operations per second.
  public var peakF32: Double
  /// Dot products of bf16 pairs, and of four bytes; nil on a CPU without such an instruction.
  public var peakBF16, peakInt8: Double?
  /// Products of tiles of bf16 (AMX); nil on a CPU without them, and where other instructions are measured.
  public var peakBF16Tiles: Double?
  /// Memory beyond the caches, 10⁹ bytes per second; a copy counts bytes read and bytes written.
  public var readBandwidth, copyBandwidth: Double

  enum CodingKeys: String, CodingKey {
    case cpu, threads
    case peakF32 = "peak_f32_gflops"
    case peakBF16 = "peak_bf16_dot_gflops"
    case peakInt8 = "peak_int8_dot_gops"
    case peakBF16Tiles = "peak_bf16_tiles_gflops"
    case readBandwidth = "read_gb_per_s"
    case copyBandwidth = "copy_gb_per_s"
  }

  /// - Parameter instructions: what may be used, as the library names it: `generic`, `avx2`, or more
  public static func measured(threads: Int, instructions: String) -> Machine {
    let set = instructions == "generic" ? cpeak_generic : instructions == "avx2" ? cpeak_avx2 : cpeak_avx512
    let memory = cpeak_memory(threads, CacheSweep.bytesBeyondCache, 0.4)
    let pairs = cpeak_bf16(set, threads, 0.2), bytes = cpeak_int8(set, threads, 0.2)
    let tiles = instructions == "amx" ? cpeak_bf16_tiles(threads, 0.2) : 0
    return Machine(
      cpu: cpuName, threads: threads, peakF32: cpeak_f32(set, threads, 0.2) / 1e9,
      peakBF16: pairs > 0 ? pairs / 1e9 : nil, peakInt8: bytes > 0 ? bytes / 1e9 : nil,
      peakBF16Tiles: tiles > 0 ? tiles / 1e9 : nil, readBandwidth: memory.read / 1e9, copyBandwidth: memory.copy / 1e9)
  }

  /// What a product of bf16 operands can reach: the fastest of tiles, of the dot instruction and of widening to `f32`. (On
  /// Intel's cores with AMX the dot instruction does half the operations per second of the `f32` multiply-add.)
  public var peakForBF16: Double { max(peakBF16Tiles ?? 0, peakBF16 ?? 0, peakF32) }

  public var summary: String {
    let dot =
      (peakBF16.map { ", bf16 dot \($0.formatted(1)) GFLOP/s" } ?? "")
      + (peakInt8.map { ", int8 dot \($0.formatted(1)) GOP/s" } ?? "")
      + (peakBF16Tiles.map { ", bf16 tiles \($0.formatted(1)) GFLOP/s" } ?? "")
    return "\(cpu), \(threads) threads: f32 multiply-add \(peakF32.formatted(1)) GFLOP/s\(dot), "
      + "memory read \(readBandwidth.formatted(1)) GB/s, copy \(copyBandwidth.formatted(1)) GB/s"
  }

  private static var cpuName: String {
    let fields = procFile("/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }
    guard let name = fields?.split(separator: ":").last else { return "unknown CPU" }
    return String(name.drop { $0 == " " })
  }
}

/// The text of a file under /proc, whose size is not known in advance; empty where there is none.
func procFile(_ path: String) -> String {
  guard let file = fopen(path, "r") else { return "" }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = fread(&chunk, 1, chunk.count, file)
    guard count > 0 else { break }
    bytes += chunk[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

extension Double {
  /// With `digits` digits after the point.
  public func formatted(_ digits: Int) -> String {
    guard isFinite else { return description }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (magnitude * scale).rounded()
    let whole = Int(rounded / scale), rest = Int(rounded - Double(whole) * scale)
    let tail = String(rest)
    let sign = self < 0 && rounded > 0 ? "-" : ""
    return sign + String(whole)
      + (digits > 0 ? "." + String(repeating: "0", count: max(0, digits - tail.count)) + tail : "")
  }
}
