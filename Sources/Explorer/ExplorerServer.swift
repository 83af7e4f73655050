// The explorer's web server: one page, its files, and what the page asks for.

import Artifacts
import FlyingFox
import FlyingSocks
import Foundation

/// Serves the explorer's page and does the runs it asks for.
///
/// | | |
/// |---|---|
/// | `GET /`, `GET /runs/ID/` | the page |
/// | `GET /api/model` | the model, the limits, the colour maps |
/// | `GET /api/runs` | all runs |
/// | `POST /api/runs` | a `RunRequest` into the queue |
/// | `DELETE /api/runs/ID` | cancels it |
/// | `GET /api/runs/ID/preview.png`, `…/preview.safetensors` | where it is now |
/// | `POST /api/uploads` | keeps a file |
/// | `GET /api/events` | every change of a run, as server-sent events |
/// | `GET /runs/ID/NAME`, `GET /runs/ID/frames/NAME` | a file of a run |
public struct ExplorerServer: Sendable {
  let board: RunBoard
  private let executor: any RunExecutor
  private let limits: ExplorerLimits
  private let entrance: RequestGuard
  private let server: HTTPServer

  /// - Parameters:
  ///   - host: an IPv4 or IPv6 address to listen on
  ///   - token: what every request must bring; nil for none
  public init(
    store: RunStore, executor: any RunExecutor, limits: ExplorerLimits = .init(), host: String = "127.0.0.1",
    port: UInt16, token: String? = nil
  ) throws {
    (self.executor, self.limits) = (executor, limits)
    board = RunBoard(store, executor, limits: limits)
    entrance = RequestGuard(host: host, port: port, token: token)
    let address: any SocketAddress =
      host.contains(":") ? try sockaddr_in6.inet6(ip6: host, port: port) : try sockaddr_in.inet(ip4: host, port: port)
    // Bodies are read to their end before anything is answered, so no time is set for that.
    let configuration = Self.configuration(address)
    let answering = Answering(board: board, executor: executor, limits: limits, entrance: entrance)
    server = HTTPServer(config: configuration, handler: answering)
  }

  /// Why the server does not listen, in the system's words.
  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  /// Listens until the task is cancelled.
  ///
  /// - Throws: `Failure` where the address cannot be had
  public func run() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        do { try await server.run() } catch SocketError.failed(_, _, let message) {
          throw Failure(description: message)
        }
      }
      group.addTask {
        while true {
          try await Task.sleep(for: .seconds(10))
          await board.beat()
        }
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  /// Returns when connections are accepted.
  public func waitUntilListening() async throws { try await server.waitUntilListening(timeout: 10) }

  private static func configuration(_ address: some SocketAddress) -> HTTPServer.Configuration {
    HTTPServer.Configuration(
      address: address, timeout: 86_400, sharedRequestBufferSize: 4096, sharedRequestReplaySize: 4096,
      logger: .disabled)
  }
}

/// Answers one request.
struct Answering: HTTPHandler {
  let board: RunBoard
  let executor: any RunExecutor
  let limits: ExplorerLimits
  let entrance: RequestGuard

  func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
    do {
      let parts = request.path.split(separator: "/").map(String.init)
      let isUpload = parts == ["api", "uploads"]
      let body = try await read(request, limit: isUpload ? limits.uploadBytes : limits.requestBytes)
      try entrance.check(request)
      return try await answer(request, parts, body)
    } catch let refusal as Refusal {
      return Self.refused(refusal)
    } catch is UnreadBody {
      return Self.last(Refusal(413, "the request is too large, or its length is not what it says"))
    } catch {
      return Self.refused(Refusal(400, "\(error)"))
    }
  }

  private struct UnreadBody: Error {}

  /// All of it, whoever asks: what follows on the connection must be the next request.
  private func read(_ request: HTTPRequest, limit: Int) async throws -> Data {
    var data = Data(), count = 0
    do {
      for try await chunk in request.bodySequence {
        count += chunk.count
        if count <= limit { data.append(chunk) } else { data = Data() }
        if count > 2 * limit { throw UnreadBody() }
      }
    } catch { throw UnreadBody() }
    if count > limit { throw Refusal(413, "the request has \(count) bytes, at most \(limit) are taken") }
    return data
  }

  private func answer(_ request: HTTPRequest, _ parts: [String], _ body: Data) async throws -> HTTPResponse {
    let path = parts.joined(separator: "/")
    switch (request.method.rawValue, parts.count) {
    case ("GET", 0): return page(request)
    case ("GET", 1) where PageFile.all[path] != nil: return Self.asset(PageFile.all[path])
    case ("GET", 2) where parts[0] == "runs" && RunStore.isID(parts[1]): return page(request)
    case ("GET", 3) where parts[0] == "runs": return try file(parts[2], of: parts[1])
    case ("GET", 4) where parts[0] == "runs" && parts[2] == "frames":
      return try file(parts[3], of: parts[1], isFrame: true)
    case ("GET", 2) where path == "api/model":
      return Self.json(
        Data("{\"model\":".utf8) + executor.model + Data(",\"limits\":".utf8)
          + (try JSONEncoder().encode(limits)) + Data(",\"colors\":\(PageFiles.colors)}".utf8))
    case ("GET", 2) where path == "api/runs": return Self.json(try JSONEncoder().encode(await board.all))
    case ("POST", 2) where path == "api/runs":
      try expect(request, type: ["application/json"])
      return Self.json(try JSONEncoder().encode(try await board.submit(RunRequest(json: body))), .accepted)
    case ("DELETE", 3) where parts[0] == "api" && parts[1] == "runs":
      return Self.json(try JSONEncoder().encode(try await board.cancel(parts[2])), .accepted)
    case ("GET", 4) where parts[0] == "api" && parts[1] == "runs": return try await preview(parts[2], parts[3])
    case ("POST", 2) where path == "api/uploads":
      try expect(request, type: ["image/png", "image/jpeg", "application/octet-stream"])
      let ending = try executor.kind(ofUpload: body, limits: limits)
      let name = try board.store.keep(body, ending: ending, limit: limits.uploads)
      return Self.json(try JSONEncoder().encode(["name": name]), .created)
    case ("GET", 2) where path == "api/events":
      let events = HTTPBodySequence(from: EventBytes(events: try await board.listen()))
      return HTTPResponse(
        statusCode: .ok, headers: Self.headers("text/event-stream"), body: events)
    case ("GET", _), ("POST", _), ("DELETE", _): throw Refusal(404, "there is nothing at '/\(path.prefix(80))'")
    default: throw Refusal(405, "\(request.method.rawValue.prefix(20)) is nothing this server does")
    }
  }

  /// Types that a form of another site cannot send.
  private func expect(_ request: HTTPRequest, type expected: [String]) throws {
    let type = (request.headers[.contentType] ?? "").split(separator: ";").first.map { String($0).lowercased() } ?? ""
    guard expected.contains(type.trimmingCharacters(in: .whitespaces)) else {
      throw Refusal(415, "content of type '\(type.prefix(40))', expected \(expected.joined(separator: " or "))")
    }
  }

  /// With the token in its address the page leaves it in a cookie, and the address without it.
  private func page(_ request: HTTPRequest) -> HTTPResponse {
    guard let token = entrance.token, request.query.contains(where: { $0.name == "token" }) else {
      return Self.asset(PageFile.index)
    }
    var headers = Self.headers("text/plain; charset=utf-8")
    headers[HTTPHeader("Set-Cookie")] = "\(RequestGuard.cookie)=\(token); HttpOnly; SameSite=Strict; Path=/"
    headers[.location] = request.path
    return HTTPResponse(statusCode: .seeOther, headers: headers)
  }

  private func file(_ name: String, of id: String, isFrame: Bool = false) throws -> HTTPResponse {
    let path = try board.store.file(name, of: id, isFrame: isFrame)
    let types = [
      "png": "image/png", "gif": "image/gif", "mp4": "video/mp4", "json": "application/json",
      "html": "text/html; charset=utf-8",
    ]
    var headers = Self.headers(types[URL(fileURLWithPath: name).pathExtension] ?? "application/octet-stream")
    // The report brings a script of its own, which gets no part of this server.
    if name.hasSuffix(".html") {
      headers[HTTPHeader("Content-Security-Policy")] =
        "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    }
    let body = try HTTPBodySequence(file: URL(fileURLWithPath: path), suggestedBufferSize: 1 << 16)
    return HTTPResponse(statusCode: .ok, headers: headers, body: body)
  }

  private func preview(_ id: String, _ name: String) async throws -> HTTPResponse {
    let preview = await board.preview(id)
    switch name {
    case "preview.png": if let picture = preview?.picture { return Self.content(picture, "image/png") }
    case "preview.safetensors": if let maps = preview?.maps { return Self.content(maps, "application/octet-stream") }
    default: break
    }
    throw Refusal(404, "run '\(id.prefix(40))' has no '\(name.prefix(40))' now")
  }
}

// Answers of every kind.
extension Answering {
  static func headers(_ type: String) -> HTTPHeaders {
    [
      .contentType: type, HTTPHeader("Cache-Control"): "no-store", HTTPHeader("X-Content-Type-Options"): "nosniff",
      HTTPHeader("Referrer-Policy"): "no-referrer", HTTPHeader("Cross-Origin-Resource-Policy"): "same-origin",
      HTTPHeader("Cross-Origin-Opener-Policy"): "same-origin", HTTPHeader("X-Frame-Options"): "DENY",
      HTTPHeader("Content-Security-Policy"):
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ]
  }

  static func content(_ data: Data, _ type: String, _ status: HTTPStatusCode = .ok) -> HTTPResponse {
    HTTPResponse(statusCode: status, headers: headers(type), body: data)
  }

  static func json(_ data: Data, _ status: HTTPStatusCode = .ok) -> HTTPResponse {
    content(data, "application/json", status)
  }

  static func asset(_ file: PageFile?) -> HTTPResponse {
    file.map { content(Data($0.bytes), $0.type) } ?? refused(Refusal(404, "no such file"))
  }

  static func refused(_ refusal: Refusal) -> HTTPResponse {
    let body = (try? JSONEncoder().encode(["error": refusal.description])) ?? Data()
    return json(body, status(refusal))
  }

  /// An answer after which the connection is closed.
  static func last(_ refusal: Refusal) -> HTTPResponse {
    let body = (try? JSONEncoder().encode(["error": refusal.description])) ?? Data()
    var headers = headers("application/json")
    headers[.connection] = "close"
    headers[.contentLength] = "\(body.count)"
    let bytes = HTTPBodySequence(from: LastBytes(bytes: Array(body)), count: body.count)
    return HTTPResponse(statusCode: status(refusal), headers: headers, body: bytes)
  }

  private static func status(_ refusal: Refusal) -> HTTPStatusCode {
    let phrases = [
      400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
      409: "Conflict", 413: "Payload Too Large", 415: "Unsupported Media Type", 429: "Too Many Requests",
      503: "Service Unavailable", 507: "Insufficient Storage",
    ]
    return HTTPStatusCode(refusal.status, phrase: phrases[refusal.status] ?? "Internal Server Error")
  }
}

/// The files of the page, which are part of the program.
struct PageFile {
  let bytes: [UInt8]
  let type: String

  static var index: PageFile { PageFile(bytes: PackageResources.index_html, type: "text/html; charset=utf-8") }

  static let all: [String: PageFile] = {
    let script = "text/javascript; charset=utf-8", style = "text/css; charset=utf-8"
    return [
      "page.css": PageFile(bytes: PageFiles.style, type: style),
      "viewer.js": PageFile(bytes: PageFiles.viewer, type: script),
      "explorer.css": PageFile(bytes: PackageResources.explorer_css, type: style),
      "explorer.js": PageFile(bytes: PackageResources.explorer_js, type: script),
      "compare.js": PageFile(bytes: PackageResources.compare_js, type: script),
    ]
  }()
}
