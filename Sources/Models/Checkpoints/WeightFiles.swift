import NN

/// The weights of a single file: GGUF by its name, else safetensors (or the index of several).
///
/// - Throws: `SafetensorsError`, `GGUFError`, `FileError`
func openWeights(_ path: String) throws -> any WeightSource {
  path.lowercased().hasSuffix(".gguf") ? try GGUFWeights(path: path) : try SafetensorsWeights(path: path)
}

extension RenamedWeights {
  /// The weights whose names begin with a prefix, without it: one model of a file that holds several. nil when there are
  /// none.
  init?(_ base: any WeightSource, within prefix: String) {
    let names = base.names.filter { $0.hasPrefix(prefix) }
    guard !names.isEmpty else { return nil }
    self.init(
      base, Dictionary(uniqueKeysWithValues: names.map { (String($0.dropFirst(prefix.count)), Origin($0)) }),
      prefix: prefix)
  }
}
