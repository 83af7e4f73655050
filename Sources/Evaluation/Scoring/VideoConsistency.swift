/// Temporal consistency of predictions, frame after frame of one video: VSPW's mVC.
///
/// Of every window of frames: pixels whose true class is the same in all of them, and the share of these whose predicted
/// class is the same in all of them too. Void pixels are left out.
///
/// Source: Miao et al., "VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild", CVPR 2021.
struct VideoConsistency {
  let window: Int
  private var truth: [Int16] = [], found: [Int16] = []
  /// For how many frames up to the last one a pixel has had its class.
  private var trueRuns: [UInt16] = [], foundRuns: [UInt16] = []

  init(window: Int = 8) { self.window = window }

  /// - Returns: what the window that ends with this frame adds
  mutating func add(truth: [Int16], found: [Int16]) -> Steadiness {
    if truth.count != self.truth.count {  // the first frame, or one of another size
      trueRuns = [UInt16](repeating: 1, count: truth.count)
      foundRuns = trueRuns
    } else {
      for pixel in truth.indices {
        trueRuns[pixel] = truth[pixel] == self.truth[pixel] ? min(trueRuns[pixel] + 1, 1 << 14) : 1
        foundRuns[pixel] = found[pixel] == self.found[pixel] ? min(foundRuns[pixel] + 1, 1 << 14) : 1
      }
    }
    self.truth = truth
    self.found = found
    var steady = 0, both = 0
    for pixel in truth.indices where truth[pixel] >= 0 && Int(trueRuns[pixel]) >= window {
      steady += 1
      if Int(foundRuns[pixel]) >= window { both += 1 }
    }
    var result = Steadiness()
    if steady > 0 {
      result.windows = 1
      result.share += Double(both) / Double(steady)
    }
    return result
  }
}
