import Formats
import NN
import Tensor

/// Keeps the tensors of chosen sites and steps, to look at, to save, or to patch into another run.
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
  /// Of the last run, or of the file.
  public private(set) var tensors: [Key: Tensor] = [:]

  public convenience init(_ patterns: SitePattern..., in passes: PassFilter = .conditional) {
    self.init(patterns, in: passes)
  }

  public init(_ patterns: [SitePattern], in passes: PassFilter = .conditional) {
    self.patterns = patterns
    self.passes = passes
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    tensors = [:]
    for pattern in patterns {
      hooks.read(pattern, in: passes) { tensor, site, pass in
        self.tensors[Key(site.description, step: pass.step, branch: pass.branch)] = tensor
      }
    }
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

  /// Reads what `save` wrote. Names of another form are an error.
  public init(contentsOf path: String) throws {
    let file = try SafetensorsFile(path: path)
    for name in file.names {
      guard let key = Key(name) else { throw ActivationCacheError.notAKey(name, path: path) }
      tensors[key] = try file.tensor(name)
    }
    patterns = Set(tensors.keys.map(\.site)).sorted().map { SitePattern($0) }
    passes = .every
  }
}

public enum ActivationCacheError: Error, Equatable, CustomStringConvertible {
  case notAKey(String, path: String)

  public var description: String {
    switch self {
    case .notAKey(let name, let path):
      "\(path): tensor '\(name)' is not named like an activation, such as double.3.image.value@2.conditional"
    }
  }
}
