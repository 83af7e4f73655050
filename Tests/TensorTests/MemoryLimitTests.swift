import Foundation
import Tensor
import Testing

/// What a process may still take, read from files as the system writes them.
@Suite struct MemoryLimitTests {
  private func allowances(_ files: [String: String]) throws -> [Memory.Allowance] {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("memory-\(UUID())")
    defer { try? FileManager.default.removeItem(at: root) }
    for (path, text) in files {
      let url = root.appendingPathComponent(path)
      try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    return Memory.allowances(SystemMemory(root: root.path))
  }

  @Test func theMachinesFreeMemory() throws {
    let found = try allowances(["proc/meminfo": "MemTotal: 4000 kB\nMemAvailable:    1000 kB\nSwapFree: 24 kB\n"])
    #expect(found == [.init(bytes: 1024 << 10, source: "the machine's free memory")])
  }

  @Test func groupsAboveCountToo() throws {
    let found = try allowances([
      "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1000\n",
      "sys/fs/cgroup/a/memory.current": "900\n",
      "sys/fs/cgroup/a/memory.stat": "anon 600\nactive_file 100\ninactive_file 200\n",
    ])
    #expect(found.map(\.bytes) == [400])
  }

  @Test func groupsOfVersionOne() throws {
    let found = try allowances([
      "proc/self/cgroup": "9:cpu:/x\n4:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "5000\n",
      "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "2000\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "sys/fs/cgroup/memory/memory.usage_in_bytes": "4000\n",
    ])
    #expect(found.map(\.bytes) == [3000])
  }

  @Test func aGroupThatIsFullLeavesNothing() {
    #expect(Memory.Allowance(bytes: -5, source: "a group").bytes == 0)
  }

  #if os(Linux)
    @Test func theLimitOfTheAddressSpace() async {
      await #expect(processExitsWith: .success) {
        var limit = rlimit(rlim_cur: 1 << 42, rlim_max: 1 << 42)
        setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
        let found = Memory.allowances(SystemMemory()).first { $0.source == "ulimit -v" }
        guard let found, found.bytes > 1 << 41, found.bytes < 1 << 42 else { exit(1) }
      }
    }
  #endif
}
