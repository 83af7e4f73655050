/// Sums of products over named axes: `torch.einsum`.
///
///     let scores = einsum("bhqd,bhkd->bhqk", query, key)
///
/// One letter per axis. Axes that share a letter have one extent (or 1, which stretches); letters missing on the right
/// are summed over; a letter twice in one operand takes the diagonal; `...` stands for broadcast axes; without `->` the
/// result has the `...` axes and then the letters that occur once, in alphabetical order. Runs as batched matrix
/// products, the cheapest pair of operands first, with the dtypes of `matmul`: narrow floats give `f32`, integers
/// `i64`. An axis order or diagonal alone is a view of the operand's dtype.
public func einsum(_ pattern: String, _ operands: Tensor...) -> Tensor { einsum(pattern, operands) }

public func einsum(_ pattern: String, _ operands: [Tensor]) -> Tensor {
  let parsed = EinsumPattern.cached(pattern)
  guard parsed.inputs.count == operands.count else {
    tensorFailure("einsum: '\(pattern)' names \(parsed.inputs.count) operands, given \(operands.count)")
  }
  let (terms, output) = parsed.labelled(operands)
  return contractAll(terms, output)
}

/// A parsed pattern: the labels of every operand and of the result.
struct EinsumPattern: Sendable {
  /// A letter by its code, `ellipsis`, or one of the axes that `...` stands for, counted from the last: -1, -2, ….
  typealias Label = Int
  static let ellipsis: Label = 0

  let text: String
  let inputs: [[Label]]
  private let output: [Label]

  private static let cache = PatternCache<EinsumPattern>()

  static func cached(_ text: String) -> EinsumPattern { cache.pattern(text) { EinsumPattern($0) } }

  private init(_ text: String) {
    self.text = text
    let sides = text.splitting(at: "->")
    guard sides.count <= 2 else { tensorFailure("einsum: '\(text)' has more than one '->'") }
    inputs = String(sides[0]).splitting(at: ",").map { EinsumPattern.labels($0, of: text) }
    guard sides.count == 2 else {
      output = EinsumPattern.implicitOutput(inputs)
      return
    }
    output = EinsumPattern.labels(sides[1], of: text)
    var seen = Set<Label>()
    for label in output {
      guard seen.insert(label).inserted else { tensorFailure("einsum: '\(text)' names an axis twice in the result") }
      guard inputs.contains(where: { $0.contains(label) }) else {
        tensorFailure("einsum: '\(text)' has an axis in the result that no operand has")
      }
    }
  }

  private static func labels(_ part: Substring, of text: String) -> [Label] {
    var labels: [Label] = [], rest = part.unicodeScalars[...]
    while let scalar = rest.popFirst() {
      switch scalar {
      case " ": continue
      case "a"..."z", "A"..."Z": labels.append(Int(scalar.value))
      case ".":
        guard rest.popFirst() == ".", rest.popFirst() == ".", !labels.contains(ellipsis) else {
          tensorFailure("einsum: '\(text)' has a '.' that is not one '...' per operand")
        }
        labels.append(ellipsis)
      default: tensorFailure("einsum: '\(text)' has the character '\(scalar)'; axes are single letters")
      }
    }
    return labels
  }

  private static func implicitOutput(_ inputs: [[Label]]) -> [Label] {
    var counts: [Label: Int] = [:]
    for label in inputs.joined() { counts[label, default: 0] += 1 }
    let single = counts.filter { $0.value == 1 && $0.key != ellipsis }.keys.sorted()
    return (counts[ellipsis] == nil ? [] : [ellipsis]) + single
  }

  /// The operands with one label per axis, none twice, and the labels of the result.
  func labelled(_ operands: [Tensor]) -> (terms: [EinsumTerm], output: [Label]) {
    var broadcastAxes = 0
    var extents: [Label: Int] = [:]
    let terms = zip(inputs, operands).map { labels, tensor in
      let extra = tensor.rank - labels.count + 1, hasEllipsis = labels.contains(EinsumPattern.ellipsis)
      guard hasEllipsis ? extra >= 0 : extra == 1 else {
        tensorFailure("einsum: '\(text)' has \(labels.count) axes for an operand of shape \(tensor.shape)")
      }
      if hasEllipsis { broadcastAxes = max(broadcastAxes, extra) }
      let term = EinsumTerm(tensor, EinsumPattern.spelled(labels, extra), text)
      for (label, extent) in zip(term.labels, term.tensor.shape) {
        let known = extents[label] ?? 1
        guard known == extent || known == 1 || extent == 1 else {
          tensorFailure(
            "einsum: '\(text)' gives one axis the extents \(known) and \(extent); "
              + "shapes \(operands.map { "\($0.shape)" }.joined(separator: ", "))")
        }
        extents[label] = known == 1 ? extent : known
      }
      return term
    }
    return (terms.map { $0.droppingStretched(extents) }, EinsumPattern.spelled(output, broadcastAxes))
  }

  private static func spelled(_ labels: [Label], _ broadcastAxes: Int) -> [Label] {
    labels.flatMap { $0 == ellipsis ? (0..<broadcastAxes).map { $0 - broadcastAxes } : [$0] }
  }
}

/// A tensor with one label per axis.
struct EinsumTerm {
  typealias Label = EinsumPattern.Label
  var tensor: Tensor
  var labels: [Label]

  init(tensor: Tensor, labels: [Label]) {
    self.tensor = tensor
    self.labels = labels
  }

  /// A label that stands twice becomes one axis: the diagonal.
  init(_ tensor: Tensor, _ labels: [Label], _ text: String) {
    var kept: [Label] = [], extents: [Int] = [], steps: [Int] = []
    for (axis, label) in labels.enumerated() {
      guard let place = kept.firstIndex(of: label) else {
        kept.append(label)
        extents.append(tensor.shape[axis])
        steps.append(tensor.strides[axis])
        continue
      }
      guard extents[place] == tensor.shape[axis] else {
        tensorFailure(
          "einsum: '\(text)' takes the diagonal of extents \(extents[place]) and \(tensor.shape[axis]); "
            + "shape \(tensor.shape)")
      }
      steps[place] += tensor.strides[axis]
    }
    self.init(tensor: tensor.view(shape: extents, strides: steps), labels: kept)
  }

  /// Without the axes of extent 1 that are longer in another operand.
  func droppingStretched(_ extents: [Label: Int]) -> EinsumTerm {
    let kept = labels.indices.filter { tensor.shape[$0] == extents[labels[$0]] }
    if kept.count == labels.count { return self }
    return EinsumTerm(
      tensor: tensor.view(shape: kept.map { tensor.shape[$0] }, strides: kept.map { tensor.strides[$0] }),
      labels: kept.map { labels[$0] })
  }

  /// The axes in the order of `order`, which are all of this term's; a view.
  func ordered(_ order: [Label]) -> Tensor {
    tensor.permuted(order.map { label in labels.firstIndex(of: label) ?? tensor.rank })
  }

  func extent(_ label: Label) -> Int { labels.firstIndex(of: label).map { tensor.shape[$0] } ?? 1 }
}

/// Contracts the pair with the fewest multiplications until one term is left.
private func contractAll(_ operands: [EinsumTerm], _ output: [EinsumPattern.Label]) -> Tensor {
  var terms = operands
  while terms.count > 1 {
    var best = (0, 1), least = Double.infinity
    for first in terms.indices.dropLast() {
      for second in (first + 1)..<terms.count {
        let a = terms[first], b = terms[second]
        let union = Set(a.labels).union(b.labels)
        let cost = union.reduce(1.0) { $0 * Double(max(a.extent($1), b.extent($1))) }
        if cost < least { (best, least) = ((first, second), cost) }
      }
    }
    let b = terms.remove(at: best.1), a = terms.remove(at: best.0)
    let needed = Set(output).union(terms.flatMap(\.labels))
    terms.insert(contract(a, b, needed), at: best.0)
  }
  return summed(terms[0], Set(output)).ordered(output)
}

/// Sums the labels nobody needs out of one term.
private func summed(_ term: EinsumTerm, _ needed: Set<EinsumPattern.Label>) -> EinsumTerm {
  let gone = term.labels.filter { !needed.contains($0) }
  if gone.isEmpty { return term }
  let one = Tensor(1).converted(to: term.tensor.dtype)
  let ones = EinsumTerm(tensor: one.broadcast(to: gone.map(term.extent)), labels: gone)
  return contract(term, ones, needed)
}

/// The product of two terms, summed over the labels they share that nobody needs: a batched matrix product.
private func contract(_ a: EinsumTerm, _ b: EinsumTerm, _ needed: Set<EinsumPattern.Label>) -> EinsumTerm {
  let shared = Set(a.labels).intersection(b.labels)
  let a = summed(a, needed.union(shared)), b = summed(b, needed.union(shared))
  let batch = a.labels.filter { shared.contains($0) && needed.contains($0) }
  let inner = a.labels.filter { shared.contains($0) && !needed.contains($0) }
  let rows = a.labels.filter { !shared.contains($0) }, columns = b.labels.filter { !shared.contains($0) }
  let extents = batch.map(a.extent), rowExtents = rows.map(a.extent), columnExtents = columns.map(b.extent)
  let (m, n, k) = (rowExtents.reduce(1, *), columnExtents.reduce(1, *), inner.map(a.extent).reduce(1, *))
  let product = Tensor.matmul(
    a.ordered(batch + rows + inner).reshaped(extents + [m, k]),
    b.ordered(batch + inner + columns).reshaped(extents + [k, n]))
  return EinsumTerm(
    tensor: product.reshaped(extents + rowExtents + columnExtents), labels: batch + rows + columns)
}
