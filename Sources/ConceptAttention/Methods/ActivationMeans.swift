import Formats
import NN
import Tensor

/// What is at a site when nothing in particular is there: the mean of its tensors over pictures, tokens and passes of a run, or of
/// many when it is installed again with `continues`, a data set's mean. By head where a site has heads.
public final class ActivationMeans: AttentionProcessor {
  public let patterns: [SitePattern]
  public let passes: PassFilter
  private let continues: Bool
  private var sums: [String: (total: Tensor, count: Int)] = [:]

  /// - Parameter continues: whether a further run adds to what there is
  public init(_ patterns: SitePattern..., in passes: PassFilter = .conditional, continues: Bool = false) {
    self.patterns = patterns.isEmpty ? ["*.*.*.attentionOutput"] : patterns
    self.passes = passes
    self.continues = continues
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    if !continues { sums = [:] }
    for pattern in patterns {
      hooks.read(pattern, in: passes) { tensor, site, _ in
        let hasTokens = tensor.rank >= 3
        let sum = hasTokens ? tensor.sum(0, tensor.rank - 2) : tensor.sum(0)
        let count = tensor.shape[0] * (hasTokens ? tensor.shape[tensor.rank - 2] : 1)
        self.sums[site.description] =
          self.sums[site.description].map { ($0.total + sum, $0.count + count) } ?? (sum, count)
      }
    }
  }

  /// `[dim]`, or `[heads, headDim]`; nil for a site that was not read.
  public subscript(_ site: Site) -> Tensor? { self[site.description] }
  public subscript(_ site: String) -> Tensor? { sums[site].map { $0.total / Float($0.count) } }

  /// Writes sums and counts to a safetensors file, from which a later run goes on.
  public func save(to path: String) throws {
    var tensors: [String: Tensor] = [:]
    for (site, sum) in sums {
      tensors["\(site).sum"] = sum.total.contiguous()
      tensors["\(site).count"] = Tensor(scalars: [Int64(sum.count)])
    }
    try SafetensorsFile.write(tensors, to: path, metadata: ["format": "activation-means"])
  }

  /// Reads what `save` wrote.
  ///
  /// - Throws: `ActivationMeansError`, `SafetensorsError`, `FileError`
  public init(contentsOf path: String) throws {
    let file = try SafetensorsFile(path: path)
    for name in file.names where name.hasSuffix(".sum") {
      let site = String(name.dropLast(4)), total = try file.tensor(name)
      guard let count = file["\(site).count"], count.dtype == .i64, count.count == 1, total.dtype == .f32,
        let number = count.scalars(as: Int64.self).first, number > 0, number < Int64(Int32.max) * 1024
      else { throw ActivationMeansError.notMeans(site, path: path) }
      sums[site] = (total, Int(number))
    }
    if sums.isEmpty { throw ActivationMeansError.notMeans("any site", path: path) }
    (patterns, passes, continues) = (sums.keys.sorted().map { SitePattern($0) }, .conditional, true)
  }
}

/// Means of attention outputs, by head.
public typealias HeadMeans = ActivationMeans

public enum ActivationMeansError: Error, Equatable, CustomStringConvertible {
  case notMeans(String, path: String)

  public var description: String {
    switch self {
    case .notMeans(let site, let path):
      "\(path): no sum and count of \(site), as ActivationMeans.save(to:) writes them"
    }
  }
}
