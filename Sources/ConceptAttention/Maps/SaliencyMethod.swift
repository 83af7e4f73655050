import NN

/// A method that makes maps of concepts. Whatever shows, saves or measures maps takes any of them.
public protocol SaliencyMethod: AttentionProcessor {
  /// The maps of the last run, or of the passes so far while one is running.
  ///
  /// - Throws: `SaliencyError.nothingRecorded` before the first pass that the method looks at
  func maps() throws -> SaliencyMaps
}
