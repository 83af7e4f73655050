// What the page asks for, and the command line that does it: a run of the explorer is one of the program's own commands.

import Foundation

/// A run as the page describes it. What is absent is the model's own.
public struct RunRequest: Codable, Sendable, Equatable {
  public enum Kind: String, Codable, Sendable { case generate, segment }

  public var kind: Kind
  public var prompt: String?
  public var concepts: [String]?
  public var width, height, frames, steps, samples, seed: Int?
  public var noise: Double?
  /// The name of an uploaded picture that a generation starts from: of a video the first frame, else replaced by the share
  /// `strength` of the steps.
  public var image: String?
  public var strength: Double?
  public var method, space, layers, timesteps: String?
  /// The name of an uploaded picture, to segment.
  public var picture: String?
  /// A pattern of sites whose tensors are kept, so that another run can be patched from this one.
  public var saveSites: String?
  public var ablate, cut: [String]?
  public var patch: [Patch]?
  public var steer: [Steer]?

  public struct Patch: Codable, Sendable, Equatable {
    public var sites: String
    /// The run that tensors come from, which has kept them.
    public var run: String
  }

  public struct Steer: Codable, Sendable, Equatable {
    public var sites: String
    /// The name of an uploaded file.
    public var vector: String
    public var strength: Double?
  }

  /// - Throws: `Refusal` that says what is wrong
  public init(json: Data) throws {
    do { self = try JSONDecoder().decode(RunRequest.self, from: json) } catch let error as DecodingError {
      throw Refusal("the request is not what is expected\(Self.place(error))")
    }
  }

  private static func place(_ error: DecodingError) -> String {
    let context: DecodingError.Context
    switch error {
    case .dataCorrupted(let found), .keyNotFound(_, let found), .typeMismatch(_, let found),
      .valueNotFound(_, let found):
      context = found
    @unknown default: return ""
    }
    let path = context.codingPath.map { $0.intValue.map { "\($0)" } ?? $0.stringValue }.joined(separator: ".")
    return (path.isEmpty ? "" : " at '\(path)'") + ": \(context.debugDescription)"
  }
}

extension RunRequest {
  /// Whether all of it is within the limits; whether the model can do it, the command itself tells.
  ///
  /// - Throws: `Refusal`
  package func check(_ limits: ExplorerLimits) throws {
    func most(_ what: String, _ value: Int?, _ limit: Int, least: Int = 1) throws {
      guard let value, !(least...limit).contains(value) else { return }
      throw Refusal("\(what) \(value): expected \(least) to \(limit)")
    }
    for (what, text) in [
      ("prompt", prompt), ("method", method), ("space", space), ("layers", layers), ("timesteps", timesteps),
      ("saveSites", saveSites),
    ] {
      try most("bytes of the \(what):", text?.utf8.count, limits.promptBytes, least: 0)
      if text?.contains("\0") ?? false { throw Refusal("the \(what) holds a character that no text has") }
    }
    try most("number of concepts:", concepts?.count, limits.concepts)
    for concept in concepts ?? [] {
      let isPlain = !concept.contains(",") && !concept.contains("\0") && concept.contains { !$0.isWhitespace }
      guard isPlain, concept.utf8.count <= limits.conceptBytes else {
        throw Refusal("concept '\(concept.prefix(40))': expected 1 to \(limits.conceptBytes) bytes without a comma")
      }
    }
    try most("width", width, limits.side)
    try most("height", height, limits.side)
    try most("frames", frames, limits.frames)
    try most("steps", steps, limits.steps)
    try most("samples", samples, limits.samples)
    try most("seed", seed, .max, least: 0)
    let count = (ablate?.count ?? 0) + (cut?.count ?? 0) + (patch?.count ?? 0) + (steer?.count ?? 0)
    try most("number of interventions:", count, limits.interventions, least: 0)
    for text in (ablate ?? []) + (cut ?? []) + (patch ?? []).map(\.sites) + (steer ?? []).map(\.sites) {
      try most("bytes of an intervention:", text.utf8.count, 200)
      if text.contains("\0") { throw Refusal("an intervention holds a character that no text has") }
    }
    switch kind {
    case .generate:
      if (prompt ?? "").allSatisfy(\.isWhitespace) { throw Refusal("no prompt: what should the picture show?") }
      if picture != nil || noise != nil || samples != nil {
        throw Refusal("picture, noise and samples are of a picture to segment, not of one to generate")
      }
      if let strength, !(strength > 0 && strength <= 1) {
        throw Refusal("strength \(strength): expected more than 0 and at most 1")
      }
      if strength != nil, image == nil { throw Refusal("strength is of a picture to start from, and there is none") }
    case .segment:
      if picture == nil { throw Refusal("no picture to segment: upload one first") }
      if image != nil || strength != nil || frames != nil {
        throw Refusal("image, strength and frames are of what is generated, not of a picture to segment")
      }
    }
  }

  /// The command that does it.
  ///
  /// - Parameters:
  ///   - folder: where its files go
  ///   - store: where runs and uploaded files are
  /// - Throws: `Refusal` for a file that is not there
  package func arguments(folder: String, in store: RunStore) throws -> [String] {
    var arguments = [kind.rawValue]
    func add(_ name: String, _ value: (some CustomStringConvertible)?) {
      if let value { arguments.append("--\(name)=\(value)") }
    }
    if kind == .segment, let picture { arguments.append(try store.upload(picture)) }
    add("prompt", prompt)
    add("concepts", concepts.map { $0.map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: ",") })
    add("width", width)
    add("height", height)
    add("frames", frames)
    add("steps", steps)
    add("timesteps", timesteps)
    add("seed", seed)
    add("noise", noise)
    add("samples", samples)
    add("image", try image.map(store.upload))
    add("strength", strength)
    add("method", method)
    add("space", space)
    add("layers", layers)
    for text in ablate ?? [] { add("ablate", text) }
    for text in cut ?? [] { add("cut", text) }
    for patch in patch ?? [] { add("patch", "\(patch.sites)=\(try store.tensors(of: patch.run))") }
    for steer in steer ?? [] {
      add("steer", "\(steer.sites)=\(try store.upload(steer.vector))" + (steer.strength.map { ":\($0)" } ?? ""))
    }
    if let saveSites {
      add("save-tensors", "\(folder)/\(RunStore.tensorsName)")
      add("save-site", saveSites)
    }
    arguments.append("--per-head")
    add("output", folder)
    return arguments
  }
}
