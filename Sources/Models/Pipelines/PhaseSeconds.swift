/// Wall-clock seconds by phase of a run.
public struct PhaseSeconds: Sendable, Equatable {
  /// Prompts to vectors, and a given picture to latents.
  public var encoding = 0.0
  /// Passes of the transformer.
  public var transformer = 0.0
  /// Latents to pictures.
  public var decoding = 0.0

  public init() {}
}

/// Tells phases apart: every `lap` is the time since the one before.
struct Stopwatch {
  private var last = ContinuousClock.now

  mutating func lap() -> Double {
    let now = ContinuousClock.now
    defer { last = now }
    return (now - last) / .seconds(1)
  }
}
