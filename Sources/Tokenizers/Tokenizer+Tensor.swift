import Tensor

extension Tokenizer {
  /// Several prompts as a text encoder takes them.
  ///
  /// - Returns: `[prompts, maxLength]`, `i64`
  public func encode(_ prompts: [String], maxLength: Int) throws -> Tensor {
    Tensor(
      scalars: try prompts.flatMap { try encode($0, maxLength: maxLength).ids }, shape: [prompts.count, maxLength]
    ).converted(to: .i64)
  }
}

extension TokenizedPrompt {
  /// This prompt alone as a text encoder takes it, `[1, tokens]`, `i64`.
  public var batch: Tensor { Tensor(scalars: ids, shape: [1, ids.count]).converted(to: .i64) }

  /// Whether a token of the text has this id.
  public func contains(_ id: Int32) -> Bool { ids[contentRange].contains(id) }
}
