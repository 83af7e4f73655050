/// A JSON value of any form, for configurations whose keys differ from case to case.
@dynamicMemberLookup
public enum JSON: Sendable, Equatable, Decodable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([String: JSON])

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([JSON].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSON].self))
    }
  }

  /// The value under a key; `.null` when there is none.
  public subscript(dynamicMember key: String) -> JSON { self[key] }
  public subscript(key: String) -> JSON { object[key] ?? .null }
  public subscript(index: Int) -> JSON { array.indices.contains(index) ? array[index] : .null }

  public var object: [String: JSON] { if case .object(let value) = self { value } else { [:] } }
  public var array: [JSON] { if case .array(let value) = self { value } else { [] } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var double: Double? { if case .number(let value) = self { value } else { nil } }
  public var float: Float? { double.map { Float($0) } }
  public var int: Int? { double.flatMap { Int(exactly: $0) } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var ints: [Int] { array.compactMap(\.int) }
  public var strings: [String] { array.compactMap(\.string) }
  public var isNull: Bool { self == .null }
}
