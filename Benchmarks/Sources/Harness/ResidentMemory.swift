import Glibc

/// Memory of this process as the kernel counts it: whatever allocator, pool or scratch it went through.
public enum ResidentMemory {
  /// Bytes resident now.
  public static var current: Int { field("VmRSS") ?? 0 }

  /// The most bytes resident since the last `resetPeak()`.
  public static var peak: Int { field("VmHWM") ?? 0 }

  /// - Returns: whether the kernel did it
  public static func resetPeak() -> Bool {
    guard let file = fopen("/proc/self/clear_refs", "w") else { return false }
    let written = fputs("5", file)
    return fclose(file) == 0 && written >= 0
  }

  private static func field(_ name: String) -> Int? {
    let line = procFile("/proc/self/status").split(separator: "\n").first { $0.hasPrefix(name + ":") }
    guard let kilobytes = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first else { return nil }
    return Int(kilobytes).map { $0 * 1024 }
  }
}
