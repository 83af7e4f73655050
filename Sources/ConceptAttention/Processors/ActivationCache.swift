import Formats
import Foundation
import NN
import Tensor

/// Keeps the tensors of chosen sites and steps, to look at, to save, or to patch into another run: in memory, or in a folder
/// that they are written to as they come. What of them is kept can be chosen: `ActivationReduction`.
public final class ActivationCache: AttentionProcessor {
  /// Which tensor: a site, a step and a branch of guidance. Prints as `double.3.image.value@2.conditional`.
  public struct Key: Hashable, Sendable, CustomStringConvertible {
    public let site: String
    public let step: Int
    public let branch: Pass.Branch

    public init(_ site: String, step: Int, branch: Pass.Branch = .conditional) {
      self.site = site
      self.step = step
      self.branch = branch
    }

    public var description: String { "\(site)@\(step).\(branch.rawValue)" }

    init?(_ text: String) {
      let parts = text.split(separator: "@"), rest = parts.last?.split(separator: ".") ?? []
      guard parts.count == 2, rest.count == 2, let step = Int(rest[0]),
        let branch = Pass.Branch(rawValue: String(rest[1]))
      else { return nil }
      self.init(String(parts[0]), step: step, branch: branch)
    }
  }

  public let patterns: [SitePattern]
  public let passes: PassFilter
  public let reductions: [ActivationReduction]
  /// Where tensors go instead of staying in memory; nil for none.
  public let folder: String?
  /// Of the last run, or of the file. Those of a folder are mapped from it once the run is over.
  public private(set) var tensors: [Key: Tensor] = [:]
  private var writing: ActivationFolder?
  /// The first thing that went wrong while it was written.
  private var failure: (any Error)?

  public convenience init(
    _ patterns: SitePattern..., in passes: PassFilter = .conditional, keeping reductions: [ActivationReduction] = [],
    writingTo folder: String? = nil
  ) {
    self.init(patterns, in: passes, keeping: reductions, writingTo: folder)
  }

  /// - Parameters:
  ///   - reductions: what of every tensor is kept, one after the other; all of it unless given
  ///   - folder: a new or empty folder, to which every tensor is written as it comes: memory then holds one at a time. nil for
  ///     memory alone
  public init(
    _ patterns: [SitePattern], in passes: PassFilter = .conditional, keeping reductions: [ActivationReduction] = [],
    writingTo folder: String? = nil
  ) {
    self.patterns = patterns
    self.passes = passes
    self.reductions = reductions
    self.folder = folder
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    (tensors, failure) = ([:], nil)
    try reductions.check(for: name)
    writing = folder.map { ActivationFolder(path: $0) }
    try writing?.open()
    for pattern in patterns {
      hooks.read(pattern, in: passes) { tensor, site, pass in
        let kept = self.reductions.applied(to: tensor, at: site, for: self.name)
        self.keep(kept, Key(site.description, step: pass.step, branch: pass.branch))
      }
    }
  }

  private func keep(_ tensor: Tensor, _ key: Key) {
    guard writing != nil else {
      tensors[key] = tensor
      return
    }
    if failure != nil { return }
    do { try writing?.add(tensor, key.description) } catch { failure = error }
  }

  /// - Throws: what went wrong when a tensor was written to the folder
  public func finish() throws {
    if let failure { throw failure }
    guard let writing else { return }
    try writing.finish()
    tensors = try Self.tensors(inFolder: writing.path)
  }

  /// The tensor of a site at a step; nil when it was not kept.
  public subscript(_ site: String, step step: Int, branch branch: Pass.Branch = .conditional) -> Tensor? {
    tensors[Key(site, step: step, branch: branch)]
  }

  /// All tensors under `Key`'s text.
  public var named: [String: Tensor] {
    Dictionary(uniqueKeysWithValues: tensors.map { ($0.key.description, $0.value.contiguous()) })
  }

  /// Writes all tensors to a safetensors file, under `Key`'s text.
  public func save(to path: String) throws {
    try SafetensorsFile.write(named, to: path, metadata: ["format": "activation-cache"])
  }

  /// Reads what `save` wrote, or a folder that a run wrote to; tensors are mapped, not read. Names of another form are an error.
  public init(contentsOf path: String) throws {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      tensors = try Self.tensors(inFolder: path)
    } else {
      let file = try SafetensorsFile(path: path)
      tensors = try Self.tensors(file.names, path: path) { try file.tensor($0) }
    }
    patterns = Set(tensors.keys.map(\.site)).sorted().map { SitePattern($0) }
    (passes, reductions, folder) = (.every, [], nil)
  }

  private static func tensors(inFolder path: String) throws -> [Key: Tensor] {
    let file = try ShardedSafetensors(indexPath: "\(path)/\(ActivationFolder.index)")
    return try tensors(file.names, path: path) { try file.tensor($0) }
  }

  private static func tensors(
    _ names: [String], path: String, _ tensor: (String) throws -> Tensor
  ) throws -> [Key: Tensor] {
    var tensors: [Key: Tensor] = [:]
    for name in names {
      guard let key = Key(name) else { throw ActivationCacheError.notAKey(name, path: path) }
      tensors[key] = try tensor(name)
    }
    return tensors
  }
}

public enum ActivationCacheError: Error, Equatable, CustomStringConvertible {
  case notAKey(String, path: String)
  /// A folder to write to that has something in it.
  case notEmpty(path: String, found: String)

  public var description: String {
    switch self {
    case .notAKey(let name, let path):
      "\(path): tensor '\(name)' is not named like an activation, such as double.3.image.value@2.conditional"
    case .notEmpty(let path, let found): "\(path): has '\(found)' in it, expected a new or an empty folder"
    }
  }
}
