import ArgumentParser
import Explorer
import Formats
import Foundation
import Synchronization

struct Explore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Opens a page in the browser: which concept owns this pixel, and what if?",
    discussion: """
      Serves a page on this machine, on which pictures are made and looked at: concepts are added and removed, pixels \
      asked who owns them, heads and edges of attention cut. Runs are done one after the other and written as \
      'generate' and 'segment' write them, each into a folder of its own below --runs. Ctrl-C ends it.

      EXAMPLES
        The model that comes along:
          concept-attention explore --open
        FLUX.1-schnell, pages of other machines that know the token:
          concept-attention explore --model FLUX.1-schnell \\
            --host 0.0.0.0 --token "$(openssl rand -hex 16)"
      """)

  @Option(help: ArgumentHelp("Folder of the runs; made if it does not exist.", valueName: "folder"))
  var runs = "concept-attention-runs"

  @Option(help: ArgumentHelp("Port to listen on.", valueName: "number"))
  var port: UInt16 = 7860

  @Option(
    help: ArgumentHelp(
      "Address to listen on; any other than this machine's own (127.0.0.1, ::1) needs --token.", valueName: "address"))
  var host = "127.0.0.1"

  @Option(
    help: ArgumentHelp(
      "What a browser must bring: at least 16 letters, digits, hyphens or underscores. Nothing is encrypted.",
      valueName: "text"))
  var token: String?

  @Flag(help: "Open the page in the browser.")
  var open = false

  @OptionGroup(title: "Model") var model: ModelOptions

  func validate() throws {
    if port == 0 { throw ValidationError("--port 0: expected 1 to 65535") }
    if let token,
      token.count < 16 || !token.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) })
    {
      throw ValidationError("--token: expected at least 16 letters, digits, hyphens or underscores")
    }
    if token == nil, !isLoopback {
      throw ValidationError(
        "--host \(host) lets other machines in: give a --token too, such as \"$(openssl rand -hex 16)\"")
    }
  }

  private var address: String { host == "localhost" ? "127.0.0.1" : host }
  private var isLoopback: Bool { address == "::1" || address.hasPrefix("127.") }

  func run() throws {
    let store: RunStore, folders = FileTransaction()  // never committed: what nothing came into goes again
    do { store = try RunStore(folder: runs, make: folders.makeFolder) } catch {
      throw InputError("--runs \(runs): cannot be made a folder")
    }
    let lock = try RunFolder.lock(store.folder)
    let runner = try ExploreRunner(model)
    let server: ExplorerServer
    do {
      server = try ExplorerServer(store: store, executor: runner, host: address, port: port, token: token)
    } catch { throw InputError("--host \(host): expected an IPv4 or IPv6 address such as 127.0.0.1") }
    try withExtendedLifetime((folders, lock)) { try serve(server, runner) }
  }

  /// Until Ctrl-C.
  private func serve(_ server: ExplorerServer, _ runner: ExploreRunner) throws {
    let failure = Failure()
    Task.detached {
      do { try await server.run() } catch { failure.error = "\(error)" }
    }
    Task.detached {
      guard (try? await server.waitUntilListening()) != nil else { return }
      announce()
    }
    while true {
      usleep(50_000)
      if let error = failure.error { throw InputError("cannot listen on \(host) port \(port): \(error)") }
      do { try checkInterrupt() } catch {
        printError("stopped")
        return
      }
    }
  }

  private func announce() {
    let name = address.contains(":") ? "[\(address)]" : address
    let page = "http://\(name):\(port)/" + (token.map { "?token=\($0)" } ?? "")
    print("exploring at \(page)")
    fflush(nil)
    guard open else { return }
    let opener = Process()
    opener.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    opener.arguments = ["xdg-open", page]
    opener.standardError = FileHandle.nullDevice
    do { try opener.run() } catch { printError("the browser could not be opened: go to \(page)") }
  }
}

/// Why the server ended.
private final class Failure: Sendable {
  private let text = Mutex<String?>(nil)

  var error: String? {
    get { text.withLock { $0 } }
    set { text.withLock { $0 = newValue } }
  }
}
