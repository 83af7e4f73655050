import Formats
import NN
import Synchronization
import Tensor
import Tokenizers

/// A text encoder that can leave the memory.
public protocol ReleasableEncoder: Sendable {
  /// Lets the system take back the memory of its weights, until it encodes again.
  func release()

  /// What it holds at most while it encodes so many texts together, beside its weights and the outcome.
  ///
  /// - Parameter tokens: of each that T5 reads
  func encodingBytes(texts: Int, tokens: Int) -> Int
}

/// A tokenizer with the text encoder that reads its ids, behind what it has encoded before: in this process, and, with a
/// folder for it, in others.
///
/// Prompts that are expected go with those that are asked for, so that the weights are read and unpacked once. What is known
/// already does not touch them at all.
public final class TextEncoderPart<Encoder: PromptEncoder>: ReleasableEncoder {
  public let tokenizer: any Tokenizer
  public let config: Encoder.Config
  private let opening: @Sendable () throws -> Encoder
  private let weights: (any WeightSource)?
  private let cache: PhraseCache?
  private let state: Mutex<State>

  private struct Key: Hashable {
    var ids: [Int32]
    var reading: TextReading
  }

  private struct State {
    var encoder: Encoder?
    /// Latest last.
    var known: [(key: Key, code: TextCode)] = []
    var expected: [Key] = []
    /// Of the files and the times they were last changed.
    var identity: (text: String, stamp: [String])?
    var passes = 0
  }

  /// Kept of what was encoded while the transformer works.
  private static var keptBytes: Int { 64 << 20 }

  /// An encoder that stays in memory.
  public convenience init(_ tokenizer: any Tokenizer, _ encoder: Encoder) {
    self.init(tokenizer, encoder.config, weights: nil, cache: nil, opened: encoder) { encoder }
  }

  /// Opens an encoder, which is held against its file at once. Where weights are converted, that happens when it first has
  /// to encode, and the converted ones go when it is released.
  ///
  /// - Parameter open: from weights to the encoder
  /// - Throws: whatever `open` throws
  convenience init(
    _ tokenizer: any Tokenizer, _ config: Encoder.Config, _ weights: any WeightSource, cache: PhraseCache?,
    open: @escaping @Sendable (any WeightSource) throws -> Encoder
  ) throws {
    let converted = weights as? ConvertedWeights
    let checked = try open(converted?.base ?? weights)
    self.init(
      tokenizer, config, weights: weights, cache: weights.files.isEmpty ? nil : cache,
      opened: converted == nil ? checked : nil
    ) { try open(weights) }
  }

  private init(
    _ tokenizer: any Tokenizer, _ config: Encoder.Config, weights: (any WeightSource)?, cache: PhraseCache?,
    opened: Encoder?, opening: @escaping @Sendable () throws -> Encoder
  ) {
    (self.tokenizer, self.config, self.weights, self.cache) = (tokenizer, config, weights, cache)
    self.opening = opening
    state = Mutex(State(encoder: opened))
  }

  /// Passes that the encoder has run.
  package var passes: Int { state.withLock { $0.passes } }

  /// What the encoder makes of texts, each cut or padded to a length; of each the same as if it were alone.
  ///
  /// - Parameters:
  ///   - hooks: processors that want anything of its blocks see them run: nothing that is known is taken then, and what they
  ///     make of it is not kept
  ///   - family: the name that its sites have
  /// - Throws: `TokenizerError`
  public func codes(
    _ texts: [String], length: Int, _ reading: TextReading, hooks: HookRun?, family: String
  ) throws -> [TextCode] {
    guard let hooks, hooks.wants(family: family) else { return try codes(texts, length: length, reading) }
    let ids = try texts.flatMap { try tokenizer.encode($0, maxLength: length).ids }
    let encoder = try opened()
    state.withLock { $0.passes += 1 }
    return encoder.codes(
      Tensor(scalars: ids, shape: [texts.count, length]).converted(to: .i64), reading, hooks: hooks, family: family)
  }

  /// What the encoder makes of texts, each cut or padded to a length; of each the same as if it were alone.
  ///
  /// - Throws: `TokenizerError`
  public func codes(_ texts: [String], length: Int, _ reading: TextReading) throws -> [TextCode] {
    let keys = try texts.map { Key(ids: try tokenizer.encode($0, maxLength: length).ids, reading: reading) }
    var codes: [Key: TextCode] = [:], missing: [Key] = []
    for key in keys where codes[key] == nil && !missing.contains(key) {
      if let code = found(key) { codes[key] = code } else { missing.append(key) }
    }
    if !missing.isEmpty {
      let expected = state.withLock { state in
        let fitting = state.expected.filter { $0.ids.count == length && $0.reading == reading }
        state.expected.removeAll { fitting.contains($0) }
        return fitting
      }
      for key in expected where codes[key] == nil && !missing.contains(key) && found(key) == nil { missing.append(key) }
      codes.merge(try encoded(missing, length, reading)) { $1 }
    }
    return keys.compactMap { codes[$0] }
  }

  /// Texts that will be asked for soon: they are encoded together with the next one that has to be.
  ///
  /// - Throws: `TokenizerError`
  public func expect(_ texts: [String], length: Int, _ reading: TextReading) throws {
    let keys = try texts.map { Key(ids: try tokenizer.encode($0, maxLength: length).ids, reading: reading) }
    state.withLock { state in
      for key in keys where !state.expected.contains(key) { state.expected.append(key) }
    }
  }

  public func release() {
    weights?.release()
    state.withLock { state in
      if weights is ConvertedWeights { state.encoder = nil }
      state.expected = []
      var bytes = state.known.map(\.code.bytes).reduce(0, +)
      while bytes > Self.keptBytes, !state.known.isEmpty { bytes -= state.known.removeFirst().code.bytes }
    }
  }

  public func encodingBytes(texts: Int, tokens: Int) -> Int {
    let length = Encoder.tokens(config, asked: tokens)
    let together = min(texts, TextPasses(texts, tokens: length).ranges.first?.count ?? 0)
    return 4 * Encoder.floats(config, texts: together, tokens: length)
  }

  private func encoded(_ keys: [Key], _ length: Int, _ reading: TextReading) throws -> [Key: TextCode] {
    let encoder = try opened()
    var codes: [Key: TextCode] = [:]
    for group in TextPasses(keys.count, tokens: length).ranges {
      let ids = Tensor(scalars: keys[group].flatMap(\.ids), shape: [group.count, length]).converted(to: .i64)
      for (key, code) in zip(keys[group], encoder.codes(ids, reading, hooks: nil, family: "")) {
        // Of its own: a slice would keep the whole pass.
        codes[key] = TextCode(states: code.states?.copied(), pooled: code.pooled?.copied())
      }
      state.withLock { $0.passes += 1 }
    }
    for key in keys {
      guard let code = codes[key] else { continue }
      state.withLock { $0.known.append((key, code)) }
      if let cache, let name = diskKey(key, isStored: true) { cache.store(name, code.tensors) }
    }
    return codes
  }

  private func opened() throws -> Encoder {
    if let encoder = state.withLock({ $0.encoder }) { return encoder }
    let encoder = try opening()
    state.withLock { $0.encoder = encoder }
    return encoder
  }

  private func found(_ key: Key) -> TextCode? {
    let known = state.withLock { state -> TextCode? in
      guard let place = state.known.lastIndex(where: { $0.key == key }) else { return nil }
      state.known.append(state.known.remove(at: place))
      return state.known.last?.code
    }
    if let known { return known }
    guard let cache, let name = diskKey(key, isStored: false), let tensors = cache.load(name),
      tensors.values.allSatisfy({ $0.dtype == .f32 }),
      tensors.mapValues(\.shape) == Encoder.shapes(config, tokens: key.ids.count, key.reading)
    else { return nil }
    let code = TextCode(states: tensors["states"], pooled: tensors["pooled"])
    state.withLock { $0.known.append((key, code)) }
    return code
  }

  /// Everything that decides the bits of a code; nil where that is not known, or has just changed.
  private func diskKey(_ key: Key, isStored: Bool) -> String? {
    guard let weights, let identity = identity(of: weights, isFresh: !isStored) else { return nil }
    let type = (weights as? ConvertedWeights).map { " as \($0.dtype)" } ?? ""
    return "\(Encoder.self) \(config)\n\(identity)\(type)\n\(TextCodeCircumstances.text)\n\(key.reading) \(key.ids)"
  }

  /// - Parameter isFresh: whether the files may have been replaced since it was last told
  private func identity(of weights: any WeightSource, isFresh: Bool) -> String? {
    guard let stamp = try? weights.files.map(FileIdentity.stamp) else { return nil }
    if let known = state.withLock({ $0.identity }) {
      // What is mapped is the old file then, and what comes of it no code of the new one.
      return known.stamp == stamp ? known.text : nil
    }
    guard isFresh, let texts = try? weights.files.map(FileIdentity.of) else { return nil }
    let text = texts.joined(separator: " ")
    state.withLock { $0.identity = (text, stamp) }
    return text
  }
}

/// What decides the bits of a product beside its factors.
enum TextCodeCircumstances {
  /// The kernels' instruction set, how products are formed, and the program: another build may round in another way.
  static var text: String { "\(Kernels.current.name) \(ComputePrecision.current.rawValue) \(program)" }

  private static let program = (try? FileIdentity.stamp("/proc/self/exe")) ?? "unknown"
}
