import ConceptAttention
import Models
import Tensor

/// What makes the maps that are measured: a method on a model, or a baseline that looks at nothing.
public struct EvaluationMethod: Sendable {
  public let name: String
  let kind: Kind

  enum Kind: Sendable {
    /// nil for the method's own space.
    case method(MapMethod, SaliencySpace?)
    case baseline(Baseline)
  }

  /// - Parameter name: a method's, `concept-attention:SPACE` for one of its spaces, or a baseline's
  /// - Throws: `MapMethodError` when there is none of this name
  public init(named name: String) throws {
    self.name = name
    if let baseline = Baseline(rawValue: name) {
      kind = .baseline(baseline)
      return
    }
    let parts = name.split(separator: ":", maxSplits: 1).map(String.init)
    let known = Self.names
    guard let first = parts.first, let method = MapMethod.all.first(where: { $0.name == first }) else {
      throw MapMethodError.unknown(name, known: known)
    }
    guard parts.count == 2 else {
      kind = .method(method, nil)
      return
    }
    guard first == MapMethod.conceptAttention.name, let space = SaliencySpace(rawValue: parts[1]) else {
      throw MapMethodError.unknown(name, known: known)
    }
    kind = .method(method, space)
  }

  /// Everything there is: methods, further spaces of ConceptAttention, baselines.
  public static var names: [String] {
    let further = SaliencySpace.allCases.filter { $0 != .output }.map {
      "\(MapMethod.conceptAttention.name):\($0.rawValue)"
    }
    return MapMethod.all.map(\.name) + further + Baseline.allCases.map(\.rawValue)
  }

  public var needsModel: Bool {
    if case .baseline = kind { false } else { true }
  }
}

/// Maps that know nothing of the picture: what any method must beat.
public enum Baseline: String, Sendable, CaseIterable {
  /// The same everywhere: the first concept wins.
  case uniform
  /// Objects are in the middle, background at the edge.
  case centre
  /// Noise, the same for a picture every time.
  case chance

  /// `[concepts, side, side]`
  func maps(_ concepts: [String], isBackground: [Bool], id: String, side: Int = 32) -> Tensor {
    switch self {
    case .uniform: return Tensor(ones: [concepts.count, side, side])
    case .chance:
      var state = hashOf(id)
      return Tensor(
        (0..<concepts.count * side * side).map { _ in
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          return Float(state >> 40) * 0x1p-24
        }, shape: [concepts.count, side, side])
    case .centre:
      let bump = Self.bump(side), edge: [Float] = bump.map { 0.75 - $0 }
      return Tensor(isBackground.flatMap { $0 ? edge : bump }, shape: [concepts.count, side, side])
    }
  }

  /// 1 in the middle, falling to 0.2 in the corners.
  private static func bump(_ side: Int) -> [Float] {
    let squares: [Float] = (0..<side).map { place in
      let distance = (Float(place) + 0.5) / Float(side) * 2 - 1
      return distance * distance
    }
    return squares.flatMap { row in squares.map { column -> Float in 1 / (1 + 2 * (row + column)) } }
  }
}
