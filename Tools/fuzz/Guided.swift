// The same readers driven by libFuzzer, which looks for inputs that reach new code (guided.sh builds it that way). The
// environment variable FUZZ_READER names the one reader of a run.

#if LIBFUZZER
  import Foundation

  @_silgen_name("LLVMFuzzerRunDriver")
  private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
  ) -> CInt

  private nonisolated(unsafe) var chosen: Target?
  private nonisolated(unsafe) var work: WorkFolder?

  @main struct Guided {
    static func main() throws {
      let environment = ProcessInfo.processInfo.environment
      let name = environment["FUZZ_READER"] ?? "", corpus = environment["FUZZ_CORPUS"] ?? "Tools/fuzz/corpus"
      let fixtures = environment["FUZZ_FIXTURES"] ?? "Tests/Fixtures/datasets", folder = try WorkFolder()
      work = folder
      let targets = try Target.all(corpus: corpus, fixtures: fixtures, work: folder)
      guard let target = targets.first(where: { $0.name == name }) else {
        throw Usage(reason: "FUZZ_READER names no reader: '\(name)'")
      }
      chosen = target
      var count = CommandLine.argc, arguments = CommandLine.unsafeArgv
      exit(
        runDriver(&count, &arguments) { bytes, size in
          let input = [UInt8](UnsafeBufferPointer(start: bytes, count: size))
          do {
            _ = try chosen?.answer(to: input)
          } catch {
            print("FOUND: \(error)")
            abort()
          }
          return 0
        })
    }
  }
#endif
