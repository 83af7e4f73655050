import Glibc

extension Memory {
  /// How much more memory this process may take, and what says so.
  public struct Allowance: Sendable, Equatable {
    public let bytes: Int
    /// For messages: "the machine's free memory", "the container's limit (cgroup)", "ulimit -v".
    public let source: String

    public init(bytes: Int, source: String) {
      self.bytes = max(0, bytes)
      self.source = source
    }
  }

  /// The least of what the machine has free, what the control groups above this process leave it (version 1 and 2), and
  /// what its own limits on address space and data leave; nil where the system tells nothing of it.
  public static var allowance: Allowance? { allowances(SystemMemory()).min { $0.bytes < $1.bytes } }

  /// How much of files this process can hope to keep in memory: as `allowance`, without the limits on addresses, which mapped
  /// files take whether they are in memory or not.
  public static var pageAllowance: Allowance? {
    let system = SystemMemory()
    return (system.freeMemory + system.controlGroups).min { $0.bytes < $1.bytes }
  }

  /// The most that was in memory for this process at one time, pages of mapped files included; nil where the system does not
  /// tell.
  public static var peakResident: Int? { SystemMemory().status("VmHWM") }

  package static func allowances(_ system: SystemMemory) -> [Allowance] {
    system.freeMemory + system.controlGroups + system.resourceLimits
  }
}

/// What the system's files and calls say about memory.
package struct SystemMemory {
  /// In place of `/`, for tests.
  private let root: String

  package init(root: String = "") { self.root = root }

  /// Free memory, pages of files included that the system would drop, and free swap.
  var freeMemory: [Memory.Allowance] {
    let values = numbers(of: "/proc/meminfo")
    guard let available = values["MemAvailable"] else { return [] }
    return [.init(bytes: (available + (values["SwapFree"] ?? 0)) << 10, source: "the machine's free memory")]
  }

  /// The groups above a process count as well: the tightest wins.
  var controlGroups: [Memory.Allowance] {
    let lines = text("/proc/self/cgroup")?.split(separator: "\n") ?? []
    return lines.flatMap { line -> [Memory.Allowance] in
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { return [] }
      if fields[1].isEmpty { return groups("/sys/fs/cgroup", fields[2], "memory.max", "memory.current") }
      guard fields[1].split(separator: ",").contains("memory") else { return [] }
      return groups("/sys/fs/cgroup/memory", fields[2], "memory.limit_in_bytes", "memory.usage_in_bytes")
    }
  }

  private func groups(_ mount: String, _ path: Substring, _ limit: String, _ usage: String) -> [Memory.Allowance] {
    var parts = path.split(separator: "/")
    var found: [Memory.Allowance] = []
    while true {
      let folder = ([mount] + parts.map(String.init)).joined(separator: "/")
      // Without a limit version 2 says "max", version 1 a number beyond any memory.
      if let most = text("\(folder)/\(limit)").flatMap(number), most < 1 << 60,
        let used = text("\(folder)/\(usage)").flatMap(number)
      {
        let reclaimable = fileBytes("\(folder)/memory.stat")
        found.append(.init(bytes: most - max(0, used - reclaimable), source: "the container's limit (cgroup)"))
      }
      if parts.isEmpty { return found }
      parts.removeLast()
    }
  }

  /// Pages of files that count as used but can be dropped.
  private func fileBytes(_ path: String) -> Int {
    let values = numbers(of: path)
    return (values["inactive_file"] ?? 0) + (values["active_file"] ?? 0)
  }

  /// What `ulimit -v` and `ulimit -d` leave. The address space has mapped files in it, and the threads' stacks.
  var resourceLimits: [Memory.Allowance] {
    let status = numbers(of: "/proc/self/status")
    let kinds = [
      (__rlimit_resource_t(RLIMIT_AS.rawValue), "VmSize", "ulimit -v"),
      (__rlimit_resource_t(RLIMIT_DATA.rawValue), "VmData", "ulimit -d"),
    ]
    return kinds.compactMap { kind, key, name in
      var limit = rlimit()
      guard getrlimit(kind, &limit) == 0, limit.rlim_cur < 1 << 60, let used = status[key] else { return nil }
      return .init(bytes: Int(limit.rlim_cur) - used << 10, source: name)
    }
  }

  /// A line of this process's status, in bytes.
  func status(_ name: String) -> Int? { numbers(of: "/proc/self/status")[name].map { $0 << 10 } }

  /// Lines of a name, perhaps a colon, and a number.
  private func numbers(of path: String) -> [String: Int] {
    let pairs = (text(path)?.split(separator: "\n") ?? []).compactMap { line -> (String, Int)? in
      let words = line.split { $0 == " " || $0 == "\t" || $0 == ":" }
      guard words.count >= 2, let value = Int(words[1]) else { return nil }
      return (String(words[0]), value)
    }
    return Dictionary(pairs) { first, _ in first }
  }

  private func number(_ text: String) -> Int? { Int(text.prefix { $0 != "\n" }) }

  private func text(_ path: String) -> String? {
    guard let file = fopen(root + path, "re") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
