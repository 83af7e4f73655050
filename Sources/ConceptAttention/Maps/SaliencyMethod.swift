import NN
import Tensor

/// A method that makes maps of concepts. Whatever shows, saves or measures maps takes any of them.
public protocol SaliencyMethod: AttentionProcessor {
  /// The maps of the last run, or of the passes so far while one is running.
  ///
  /// - Throws: `SaliencyError.nothingRecorded` before the first pass that the method looks at
  func maps() throws -> SaliencyMaps
}

/// A method that can be saved between two steps and go on in another process, to the same bits.
public protocol ResumableMethod: SaliencyMethod {
  /// What it has added up in the passes so far.
  var sums: [String: Tensor] { get }

  /// Makes the next run go on from sums of an earlier one.
  ///
  /// - Throws: `SaliencyError.notSums` for tensors that are none of its own
  func resume(from sums: [String: Tensor]) throws
}
