import Tensor

/// What became of a picture.
public enum PictureOutcome: Sendable {
  case scored(PictureScores, warnings: [String])
  /// It cannot be scored, and why.
  case skipped(id: String, reason: String, warnings: [String])
  /// The protocol does not take it, and why.
  case leftOut(id: String, reason: String, warnings: [String])

  /// What was found odd about the picture.
  public var warnings: [String] {
    switch self {
    case .scored(_, let warnings), .skipped(_, _, let warnings), .leftOut(_, _, let warnings): warnings
    }
  }
}

/// Thrown by whoever makes maps where a protocol asks for nothing: the picture is left out, which is no fault of it.
public struct NothingAsked: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// Goes through a data set, gets maps for each picture and scores them: pictures in parallel, videos frame by frame,
/// results in the order of the data set. What is kept at a time does not grow with the number of pictures.
public struct MapEvaluation: Sendable {
  public let dataset: any SegmentationDataset
  let scorer: MapScorer
  /// Indices of pictures that belong together: the frames of a video, or one picture.
  public let units: [Range<Int>]
  /// Why the protocol does not take a picture; nil when it does.
  public private(set) var reasonToLeaveOut: @Sendable (SegmentationExample) -> String? = { _ in nil }

  /// Scores as a protocol says: its pictures, its class names, its rules.
  ///
  /// - Parameter names: of classes, over those of the protocol
  public init(
    _ dataset: any SegmentationDataset, following rules: EvaluationProtocol, names: ClassNames = ClassNames()
  ) {
    let names = ClassNames(rules.classNames.merging(names.concepts) { $1 })
    self.init(dataset, rules: rules.rules, names: names)
    let classes = dataset.classes
    reasonToLeaveOut = { rules.reasonToLeaveOut($0, classes) }
  }

  public init(
    _ dataset: any SegmentationDataset, rules: ScoringRules = ScoringRules(), names: ClassNames = ClassNames()
  ) {
    self.dataset = dataset
    scorer = MapScorer(dataset.classes, rules: rules, names: names)
    var units: [Range<Int>] = []
    for index in 0..<dataset.count {
      if let last = units.last, let sequence = dataset.sequence(index), sequence == dataset.sequence(last.lowerBound) {
        units[units.count - 1] = last.lowerBound..<index + 1
      } else {
        units.append(index..<index + 1)
      }
    }
    self.units = units
  }

  /// Scores the maps of a folder.
  ///
  /// - Parameter onUnit: called for each unit in order; what it throws ends the run
  public func score(_ folder: MapFolder, onUnit: (Int, [PictureOutcome]) throws -> Void) throws {
    try inParallel({ unit in score(unit) { try folder.maps($0.id) } }, onUnit)
  }

  /// Opens every picture and mask without scoring anything.
  ///
  /// - Parameter onPicture: is given the id, what was found odd, and why the picture is of no use if it is not
  public func check(onPicture: (_ id: String, _ warnings: [String], _ fault: String?) throws -> Void) throws {
    func check(_ index: Int) -> (id: String, warnings: [String], fault: String?) {
      do {
        let example = try dataset.example(index)
        return (example.id, example.warnings, nil)
      } catch { return (dataset.id(index), [], "\(error)") }
    }
    try inParallel({ $0.map(check) }) { _, found in
      for picture in found { try onPicture(picture.id, picture.warnings, picture.fault) }
    }
  }

  /// Some units at a time, results in order.
  private func inParallel<Result: Sendable>(
    _ work: (Range<Int>) -> [Result], _ onUnit: (Int, [Result]) throws -> Void
  ) throws {
    let batch = max(1, Threads.count) * 2
    for start in stride(from: 0, to: units.count, by: batch) {
      let range = start..<min(start + batch, units.count)
      var results = [[Result]](repeating: [], count: range.count)
      results.withUnsafeMutableBufferPointer { room in
        parallelFor(range.count) { part in
          for place in part { room[place] = work(units[range.lowerBound + place]) }
        }
      }
      for (place, found) in results.enumerated() { try onUnit(range.lowerBound + place, found) }
    }
  }

  /// Scores the pictures of a unit.
  ///
  /// - Parameter maps: makes the maps of a picture, or says why not
  public func score(_ unit: Range<Int>, maps: (SegmentationExample) throws -> ConceptMaps) -> [PictureOutcome] {
    var consistency = VideoConsistency()
    return unit.map { index in
      var warnings: [String] = []
      do {
        let example = try dataset.example(index)
        warnings = example.warnings
        if let reason = reasonToLeaveOut(example) {
          return .leftOut(id: example.id, reason: reason, warnings: warnings)
        }
        let maps = try maps(example)
        guard let sequence = dataset.sequence(index) else {
          return .scored(scorer.scores(maps, example), warnings: warnings)
        }
        var steady = Steadiness()
        var scores = scorer.scores(maps, example, sequence: sequence) {
          steady = consistency.add(truth: example.labels, found: $0)
        }
        scores.steady = steady
        return .scored(scores, warnings: warnings)
      } catch let nothing as NothingAsked {
        return .leftOut(id: dataset.id(index), reason: "\(nothing)", warnings: warnings)
      } catch { return .skipped(id: dataset.id(index), reason: "\(error)", warnings: warnings) }
    }
  }
}
