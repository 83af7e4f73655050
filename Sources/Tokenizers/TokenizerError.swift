// What can be wrong with a tokenizer's files or with what is asked of it.

/// Why a tokenizer could not be loaded, or a prompt not be encoded. Names the file, what was found and what was
/// expected.
public struct TokenizerError: Error, Equatable, CustomStringConvertible {
  public enum Problem: Equatable, Sendable {
    /// A file or folder is not there or cannot be read.
    case missingFile(expected: String)
    /// Not JSON; `offset` is the byte where reading stopped.
    case brokenJSON(offset: Int, reason: String)
    /// Not a SentencePiece model; `offset` is the byte where reading stopped.
    case brokenProtobuf(offset: Int, reason: String)
    /// The normaliser's precompiled character map cannot be used.
    case brokenCharacterMap(reason: String)
    /// A value has another type or lies outside its range.
    case unexpectedValue(key: String, found: String, expected: String)
    /// A token that the tokenizer cannot work without has no id.
    case missingSpecialToken(name: String, token: String)
    /// A piece has an id that cannot be one.
    case idOutOfRange(token: String, id: String)
    /// A merge rule names a piece that the vocabulary does not have; `rule` counts from 1.
    case mergeOfUnknownPiece(rule: Int, piece: String)
    /// A merge rule is not two pieces; `rule` counts from 1.
    case brokenMerge(rule: Int, text: String)
    /// The files are sound but ask for something that is not built.
    case unsupported(String)
    /// The length asked for has no room for the special tokens.
    case lengthTooSmall(maxLength: Int, required: Int)
  }

  /// The file or folder, empty when no file is to blame.
  public let path: String
  public let problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String {
    path.isEmpty ? explanation : "\(path): \(explanation)"
  }

  private var explanation: String {
    switch problem {
    case .missingFile(let expected): "not found or not readable; expected \(expected)"
    case .brokenJSON(let offset, let reason): "not valid JSON: \(reason) at byte \(offset)"
    case .brokenProtobuf(let offset, let reason): "not a SentencePiece model: \(reason) at byte \(offset)"
    case .brokenCharacterMap(let reason): "the precompiled character map is damaged: \(reason)"
    case .unexpectedValue(let key, let found, let expected): "'\(key)' is \(found); expected \(expected)"
    case .missingSpecialToken(let name, let token): "the \(name) token '\(token)' is not in the vocabulary"
    case .idOutOfRange(let token, let id):
      "the id of '\(token)' is \(id); expected an integer from 0 to \(Int32.max - 1)"
    case .mergeOfUnknownPiece(let rule, let piece):
      "merge rule \(rule) needs '\(piece)', which is not in the vocabulary"
    case .brokenMerge(let rule, let text): "merge rule \(rule) is '\(text)'; expected two pieces"
    case .unsupported(let what): "unsupported: \(what)"
    case .lengthTooSmall(let maxLength, let required):
      "a maximum length of \(maxLength) tokens has no room for the \(required) special tokens"
    }
  }
}
