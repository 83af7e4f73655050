/// A JSON value that keeps the order of its members and can say null.
public indirect enum JSONText: Sendable, Equatable, CustomStringConvertible {
  case null
  case number(Double)
  case integer(Int)
  case text(String)
  case list([JSONText])
  case object([(String, JSONText)])

  static func optional(_ value: Double?) -> JSONText { value.map { .number($0) } ?? .null }
  static func texts(_ values: [String]) -> JSONText { .list(values.map { .text($0) }) }

  public static func == (one: JSONText, other: JSONText) -> Bool { one.description == other.description }

  public var description: String {
    var result = ""
    write(to: &result)
    return result
  }

  private func write(to result: inout String) {
    switch self {
    case .null: result += "null"
    case .number(let value): result += value.isFinite ? "\(value)" : "null"
    case .integer(let value): result += "\(value)"
    case .text(let value): Self.write(value, to: &result)
    case .list(let values):
      result += "["
      for (index, value) in values.enumerated() {
        if index > 0 { result += ", " }
        value.write(to: &result)
      }
      result += "]"
    case .object(let members):
      result += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { result += ", " }
        Self.write(member.0, to: &result)
        result += ": "
        member.1.write(to: &result)
      }
      result += "}"
    }
  }

  private static func write(_ text: String, to result: inout String) {
    result += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    result += "\""
  }
}
