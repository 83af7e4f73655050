import NN
import Tensor

/// Reads the features of a site's tokens.
public final class FeatureReader: AttentionProcessor {
  public let autoencoder: SparseAutoencoder
  public let pattern: SitePattern
  public let passes: PassFilter
  /// Of the last run: `[batch, tokens, features]` by step, at the last site that the pattern selects.
  public private(set) var activations: [Int: Tensor] = [:]
  private var mean = RunningMean()

  public init(_ autoencoder: SparseAutoencoder, at pattern: SitePattern, in passes: PassFilter = .conditional) {
    self.autoencoder = autoencoder
    self.pattern = pattern
    self.passes = passes
  }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) {
    (activations, mean) = ([:], RunningMean())
    hooks.read(pattern, in: passes) { tokens, site, pass in
      self.autoencoder.require(tokens, site, self.name)
      let found = self.autoencoder.encoded(tokens)
      self.activations[pass.step] = found
      self.mean.add(found.mean(0, 1))
    }
  }

  /// Of all tokens and passes, `[features]`; nil before the first.
  public var featureMean: Tensor? { mean.value }
}

/// Changes tokens by their features.
public final class FeatureEdit: AttentionProcessor {
  public enum Change: Sendable {
    /// Adds a feature's direction to every token.
    case steer(feature: Int, strength: Float)
    /// Moves every token along a feature's direction to where it has this much of it.
    case clamp(feature: Int, to: Float)
    /// Replaces tokens by what their features tell.
    case splice
  }

  public let autoencoder: SparseAutoencoder
  public let pattern: SitePattern
  public let change: Change
  public let passes: PassFilter

  public init(
    _ autoencoder: SparseAutoencoder, at pattern: SitePattern, _ change: Change, in passes: PassFilter = .every
  ) {
    self.autoencoder = autoencoder
    self.pattern = pattern
    self.change = change
    self.passes = passes
  }

  public var isIndependentOfPasses: Bool { true }

  public func install(_ hooks: inout HookPlan, on model: any StreamModel) throws {
    switch change {
    case .steer(let feature, _), .clamp(let feature, _):
      guard (0..<autoencoder.features).contains(feature) else {
        throw HookError.refused(
          processor: name, reason: "there is no feature \(feature), the dictionary has \(autoencoder.features)")
      }
    case .splice: break
    }
    hooks.rewrite(pattern, in: passes) { tokens, site, _ in
      self.autoencoder.require(tokens, site, self.name)
      return self.changed(tokens)
    }
  }

  private func changed(_ tokens: Tensor) -> Tensor {
    switch change {
    case .steer(let feature, let strength): return tokens + autoencoder.decoder[feature] * strength
    case .clamp(let feature, let value):
      let present = autoencoder.encoded(tokens).narrow(-1, from: feature, count: 1)
      return tokens + (value - present) * autoencoder.decoder[feature]
    case .splice: return autoencoder.decoded(autoencoder.encoded(tokens))
    }
  }
}

extension SparseAutoencoder {
  fileprivate func require(_ tokens: Tensor, _ site: Site, _ processor: String) {
    guard tokens.shape.last == dim else {
      tensorFailure("\(processor) at \(site): tokens of shape \(tokens.shape) for a dictionary of width \(dim)")
    }
  }
}
