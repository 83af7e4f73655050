// Who may ask: pages of other sites, and names that were bent to this address, may not.

import FlyingFox
import Foundation

/// Decides whether a request is answered at all.
struct RequestGuard: Sendable {
  /// What the server listens on.
  let host: String
  let port: UInt16
  /// nil where only this machine can ask.
  let token: String?

  static let cookie = "explorer_token"

  /// - Throws: `Refusal`
  func check(_ request: HTTPRequest) throws {
    guard let named = request.headers[.host] else { throw Refusal(400, "the request names no host") }
    // A name that somebody bent to the loopback address is refused; elsewhere the token guards.
    if token == nil, !ownNames.contains(named.lowercased()) {
      throw Refusal(403, "this server is not '\(named.prefix(80))'; it is \(ownNames[0])")
    }
    let isReading = [HTTPMethod.GET, HTTPMethod("HEAD")].contains(request.method)
    if let origin = request.headers[HTTPHeader("Origin")], origin.lowercased() != "http://\(named.lowercased())" {
      throw Refusal(403, "a page of '\(origin.prefix(80))' may not ask this server")
    }
    if let site = request.headers[HTTPHeader("Sec-Fetch-Site")], !["same-origin", "none"].contains(site.lowercased()) {
      // Following a link to the page is harmless; what it fetches then is of the same origin.
      let isNavigation = request.headers[HTTPHeader("Sec-Fetch-Mode")] == "navigate" && isReading
      if !isNavigation { throw Refusal(403, "pages of other sites may not ask this server") }
    }
    if let token, !isToken(token, presented(request)) {
      throw Refusal(401, "this server wants its token: open the address that it printed when it started")
    }
  }

  /// Names of this machine under which browsers reach it.
  private var ownNames: [String] {
    let names = ["127.0.0.1", "localhost", "[::1]"]
    let first = host == "::1" ? "[::1]" : host
    let all = [first] + names.filter { $0 != first }
    return all.map { "\($0):\(port)" } + (port == 80 ? all : [])
  }

  private func presented(_ request: HTTPRequest) -> String {
    if let bearer = request.headers[.authorization], bearer.hasPrefix("Bearer ") { return String(bearer.dropFirst(7)) }
    let cookies = (request.headers[HTTPHeader("Cookie")] ?? "").split(separator: ";")
    let pairs = cookies.map { $0.trimmingCharacters(in: .whitespaces) }
    if let own = pairs.first(where: { $0.hasPrefix(Self.cookie + "=") }) {
      return String(own.dropFirst(Self.cookie.count + 1))
    }
    return request.query.first { $0.name == "token" }?.value ?? ""
  }

  /// Takes the same time wherever they differ.
  private func isToken(_ token: String, _ found: String) -> Bool {
    let token = Array(token.utf8), found = Array(found.utf8)
    guard token.count == found.count else { return false }
    return zip(token, found).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
