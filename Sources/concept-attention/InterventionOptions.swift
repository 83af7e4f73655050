import ArgumentParser
import ConceptAttention
import Formats
import Foundation
import NN
import Tensor

/// What is changed inside of the model during a run: the same for `generate` and `segment`.
struct InterventionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Switch attention heads off, such as double.2.image.attentionOutput=0,3 or double.*.image=1 for short. May be repeated.",
      valueName: "sites=heads"))
  var ablate: [String] = []

  @Option(
    help: ArgumentHelp(
      "Cut an edge of attention, such as double.0-2=image:text: image queries no longer see text. May be repeated.",
      valueName: "blocks=queries:keys"))
  var cut: [String] = []

  @Option(
    help: ArgumentHelp(
      "Put tensors of another run in place of this one's, from what --save-tensors and --save-site kept of it. May be repeated.",
      valueName: "sites=file"))
  var patch: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      Add a saved vector to all tokens at a site: an .npy file, or a .safetensors file with one tensor or one named \
      'vector'. May be repeated.
      """, valueName: "sites=file[:strength]"))
  var steer: [String] = []

  var isEmpty: Bool { ablate.isEmpty && cut.isEmpty && patch.isEmpty && steer.isEmpty }

  /// In the words of the command line.
  var texts: [String] {
    [("ablate", ablate), ("cut", cut), ("patch", patch), ("steer", steer)].flatMap { name, texts in
      texts.map { "\(name) \($0)" }
    }
  }

  /// What changes the model, in the order of the options; nil for nothing.
  ///
  /// - Throws: `InputError` for what is no intervention, and for files that do not hold what they should
  func interventions() throws -> Interventions? {
    if isEmpty { return nil }
    let changes =
      try ablate.map(Self.ablation) + patch.map(Self.replacement) + steer.map(Self.addition)
    return Interventions(changes: changes, knockouts: try cut.map(Self.knockout))
  }

  private static func parts(_ text: String, _ option: String, example: String) throws -> (place: String, what: String) {
    guard let mark = text.firstIndex(of: "="), mark != text.startIndex, text.index(after: mark) != text.endIndex else {
      throw InputError("--\(option) '\(text)': expected such as \(example)")
    }
    return (String(text[..<mark]), String(text[text.index(after: mark)...]))
  }

  private static func ablation(_ text: String) throws -> Interventions.Change {
    let (place, what) = try parts(text, "ablate", example: "double.2.image.attentionOutput=0,3")
    let heads = try indexSet(what, option: "--ablate \(place)").sorted()
    let site = place.split(separator: ".").count < 4 ? "\(place).attentionOutput" : place
    return .init("--ablate \(text)", SitePattern(site)) { tensor, _ in
      guard tensor.rank == 4, let last = heads.last, last < tensor.shape[1] else {
        throw InputError(
          tensor.rank == 4
            ? "--ablate \(text): there is no head \(heads.last ?? 0), this model has heads 0 to \(tensor.shape[1] - 1)"
            : "--ablate \(text): the tensor there has no heads, its shape is \(tensor.shape)")
      }
      var result = tensor
      for head in heads { result[.all, head] = Tensor(0) }
      return result
    }
  }

  private static func knockout(_ text: String) throws -> AttentionKnockout {
    let (place, what) = try parts(text, "cut", example: "double.0-2=image:text")
    let ends = what.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard ends.count == 2, !ends[0].isEmpty, !ends[1].isEmpty else {
      throw InputError("--cut '\(text)': expected such as double.0-2=image:text")
    }
    return AttentionKnockout([.init(StreamID(ends[0]), sees: StreamID(ends[1]), in: BlockPattern(place))])
  }

  private static func replacement(_ text: String) throws -> Interventions.Change {
    let (place, path) = try parts(text, "patch", example: "double.2.image.value=other.safetensors")
    let file = try SafetensorsFile(path: path), names = Set(file.names)
    return .init("--patch \(text)", SitePattern(place), mustAct: "\(path) holds nothing of the sites at these steps") {
      tensor, key in
      guard names.contains(key) else { return nil }
      let other = try file.tensor(key)
      guard other.shape == tensor.shape else {
        throw InputError("--patch \(text): '\(key)' has shape \(other.shape) there, and \(tensor.shape) in this run")
      }
      return other.converted(to: .f32)
    }
  }

  private static func addition(_ text: String) throws -> Interventions.Change {
    let (place, what) = try parts(text, "steer", example: "double.2.image.residualOutput=vector.npy:0.5")
    var path = what, strength: Float = 1
    if !FileManager.default.fileExists(atPath: what), let colon = what.lastIndex(of: ":") {
      guard let number = Float(what[what.index(after: colon)...]), number.isFinite else {
        throw InputError("--steer '\(text)': there is no file '\(what)', and no strength behind a colon")
      }
      (path, strength) = (String(what[..<colon]), number)
    }
    let vector = try vector(path).converted(to: .f32) * strength
    return .init("--steer \(text)", SitePattern(place)) { tensor, _ in
      guard vector.rank > 0, vector.shape == Array(tensor.shape.suffix(vector.rank)) else {
        throw InputError("--steer \(text): the vector has shape \(vector.shape), the tensor there \(tensor.shape)")
      }
      return tensor + vector
    }
  }

  static func vector(_ path: String) throws -> Tensor {
    if path.hasSuffix(".npy") { return try Npy.read(path: path) }
    let file = try SafetensorsFile(path: path), names = file.names
    guard let name = names.first(where: { $0 == "vector" }) ?? (names.count == 1 ? names.first : nil) else {
      throw InputError("\(path): expected one tensor or one named 'vector', found \(names.count)")
    }
    return try file.tensor(name)
  }
}

/// Changes that a run makes to its tensors. What does not fit shows at the first step, and is thrown after it.
final class Interventions: AttentionProcessor {
  struct Change {
    let text: String
    let sites: SitePattern
    /// What is wrong when it never acted; nil where that need not be.
    let mustAct: String?
    /// The new tensor; nil for the old one. The key is that of `ActivationCache`.
    let apply: (_ tensor: Tensor, _ key: String) throws -> Tensor?

    init(
      _ text: String, _ sites: SitePattern, mustAct: String? = nil,
      _ apply: @escaping (_ tensor: Tensor, _ key: String) throws -> Tensor?
    ) {
      (self.text, self.sites, self.mustAct, self.apply) = (text, sites, mustAct, apply)
    }
  }

  private let changes: [Change]
  private let knockouts: [AttentionKnockout]
  private var acted: Set<Int> = []
  private var problem: (any Error)?

  init(changes: [Change], knockouts: [AttentionKnockout]) {
    self.changes = changes
    self.knockouts = knockouts
  }

  /// Each edge is cut by a processor of its own.
  var processors: [any AttentionProcessor] { (changes.isEmpty ? [] : [self]) + knockouts }

  func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    (acted, problem) = ([], nil)
    for (index, change) in changes.enumerated() {
      hooks.rewrite(change.sites) { [self] tensor, site, pass in
        do {
          guard let changed = try change.apply(tensor, "\(site)@\(pass.step).\(pass.branch.rawValue)") else {
            return tensor
          }
          acted.insert(index)
          return changed
        } catch {
          problem = problem ?? error
          return tensor
        }
      }
    }
  }

  /// Called after each step.
  func check() throws { if let problem { throw problem } }

  /// Called at the end.
  func finish() throws {
    for (index, change) in changes.enumerated() where !acted.contains(index) {
      if let reason = change.mustAct { throw InputError("\(change.text): \(reason)") }
    }
  }
}
