// The header of a GGUF file: metadata and the directory of tensors, every count checked before it is believed.

import Tensor

struct GGUFHeader {
  private(set) var version: UInt32 = 0
  private(set) var alignment = 32
  private(set) var metadata: [String: GGUFValue] = [:]
  private(set) var entries: [GGUFEntry] = []

  private var reader: ByteReader
  private let path: String
  /// How many more metadata values may be read: they take up to 24 times their bytes in memory.
  private var remainingValues = 1 << 24

  private static let maximumArrayDepth = 4
  private static let alignmentKey = "general.alignment"

  init(_ bytes: UnsafeRawBufferPointer, path: String) throws {
    reader = ByteReader(bytes)
    self.path = path
    guard let magic = reader.take(4), magic.elementsEqual("GGUF".utf8) else { throw GGUFError(path, .notGGUF) }
    version = try integer("the version")
    guard version == 2 || version == 3 else { throw GGUFError(path, .version(version)) }
    let tensorCount: UInt64 = try integer("the number of tensors")
    let metadataCount: UInt64 = try integer("the number of metadata values")
    // The smallest metadata value takes a name of 8 bytes, a type of 4 and a byte; a tensor 8 + 4 + 4 + 8.
    let metadataLimit = try checked(metadataCount, "metadata values", bytesEach: 13)
    let tensorLimit = try checked(tensorCount, "tensors", bytesEach: 24)
    for _ in 0..<metadataLimit { try readMetadata() }
    try readAlignment()
    try readEntries(tensorLimit)
  }

  // MARK: Metadata

  private mutating func readMetadata() throws {
    let key = try name("a metadata key")
    let type: UInt32 = try integer("the type of '\(key)'")
    guard metadata.updateValue(try value(type, "'\(key)'", depth: 0), forKey: key) == nil else {
      throw GGUFError(path, .duplicateName(key))
    }
  }

  private mutating func value(_ type: UInt32, _ what: String, depth: Int) throws -> GGUFValue {
    remainingValues -= 1
    guard remainingValues >= 0 else {
      throw GGUFError(path, .count(what: "metadata values", found: 1 << 24 + 1, limit: 1 << 24))
    }
    switch type {
    case 0: return .uint8(try integer(what))
    case 1: return .int8(try integer(what))
    case 2: return .uint16(try integer(what))
    case 3: return .int16(try integer(what))
    case 4: return .uint32(try integer(what))
    case 5: return .int32(try integer(what))
    case 6: return .float32(Float(bitPattern: try integer(what)))
    case 7: return .bool(try boolean(what))
    case 8: return .string(String(decoding: try string(what), as: UTF8.self))
    case 9: return try array(what, depth: depth)
    case 10: return .uint64(try integer(what))
    case 11: return .int64(try integer(what))
    case 12: return .float64(Double(bitPattern: try integer(what)))
    default: throw GGUFError(path, .invalid(what: what, offset: reader.offset, expected: "a type from 0 to 12"))
    }
  }

  private mutating func array(_ what: String, depth: Int) throws -> GGUFValue {
    guard depth < Self.maximumArrayDepth else {
      let expected = "at most \(Self.maximumArrayDepth) arrays inside each other"
      throw GGUFError(path, .invalid(what: what, offset: reader.offset, expected: expected))
    }
    let type: UInt32 = try integer("the element type of \(what)")
    let claimed: UInt64 = try integer("the length of \(what)")
    let sizes: [UInt32: Int] = [2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 8: 8, 9: 12, 10: 8, 11: 8, 12: 8]
    let count = try checked(claimed, "elements of \(what)", bytesEach: sizes[type] ?? 1)
    var elements: [GGUFValue] = []
    elements.reserveCapacity(min(count, 1 << 16))
    for _ in 0..<count { elements.append(try value(type, what, depth: depth + 1)) }
    return .array(elements)
  }

  private mutating func readAlignment() throws {
    guard let value = metadata[Self.alignmentKey] else { return }
    guard let alignment = value.int, alignment > 0, alignment <= 1 << 20, alignment.nonzeroBitCount == 1 else {
      let expected = "a power of two up to 1048576"
      throw GGUFError(path, .invalid(what: Self.alignmentKey, offset: reader.offset, expected: expected))
    }
    self.alignment = alignment
  }

  // MARK: Tensors

  private struct Place {
    let name: String
    let type: GGUFTensorType
    let shape: [Int]
    let offset: UInt64
    let size: Int
  }

  private mutating func readEntries(_ count: Int) throws {
    var places: [Place] = []
    var names: Set<String> = []
    places.reserveCapacity(count)
    for _ in 0..<count {
      let place = try readPlace()
      guard names.insert(place.name).inserted else { throw GGUFError(path, .duplicateName(place.name)) }
      places.append(place)
    }
    let dataStart = (reader.offset + alignment - 1) / alignment * alignment
    let dataSize = max(0, reader.bytes.count - dataStart)
    var end = 0
    for place in places.sorted(by: { ($0.offset, $0.size) < ($1.offset, $1.size) }) {
      guard let offset = Int(exactly: place.offset), offset >= end, offset % alignment == 0, offset <= dataSize,
        place.size <= dataSize - offset
      else {
        let expected = "\(place.size) bytes at a multiple of \(alignment) from \(end) to \(dataSize)"
        throw GGUFError(path, .place(tensor: place.name, found: "byte \(place.offset)", expected: expected))
      }
      end = offset + place.size
      let range = dataStart + offset..<dataStart + end
      entries.append(GGUFEntry(name: place.name, type: place.type, shape: place.shape, range: range))
    }
  }

  private mutating func readPlace() throws -> Place {
    let name = try name("a tensor's name")
    let rank: UInt32 = try integer("the number of axes of '\(name)'")
    guard rank <= 8 else { throw GGUFError(path, .count(what: "axes of '\(name)'", found: UInt64(rank), limit: 8)) }
    let extents: [UInt64] = try (0..<rank).map { _ in try integer("the shape of '\(name)'") }
    let number: UInt32 = try integer("the type of '\(name)'")
    let offset: UInt64 = try integer("the place of '\(name)'")
    guard let type = GGUFTensorType(rawValue: number) else {
      throw GGUFError(path, .unknownType(tensor: name, type: number))
    }
    let shape = extents.reversed().compactMap { Int(exactly: $0) }
    guard shape.count == extents.count, let count = checkedElementCount(shape) else {
      throw GGUFError(path, .shape(tensor: name, extents))
    }
    let columns = shape.last ?? 1
    guard columns % type.blockSize == 0 else {
      throw GGUFError(path, .blocks(tensor: name, columns: columns, blockSize: type.blockSize))
    }
    guard let size = checkedProduct(count / type.blockSize, type.blockBytes) else {
      throw GGUFError(path, .shape(tensor: name, extents))
    }
    return Place(name: name, type: type, shape: shape, offset: offset, size: size)
  }

  // MARK: Parts

  private mutating func integer<Value: FixedWidthInteger>(_ what: @autoclosure () -> String) throws -> Value {
    guard let value = reader.integer(Value.self) else {
      throw GGUFError(path, .truncated(what: what(), offset: reader.offset))
    }
    return value
  }

  private mutating func boolean(_ what: String) throws -> Bool {
    let byte: UInt8 = try integer(what)
    guard byte <= 1 else { throw GGUFError(path, .invalid(what: what, offset: reader.offset - 1, expected: "0 or 1")) }
    return byte == 1
  }

  private mutating func string(_ what: String) throws -> UnsafeRawBufferPointer {
    let length: UInt64 = try integer("the length of \(what)")
    let count = try checked(length, "bytes of \(what)", bytesEach: 1)
    guard let bytes = reader.take(count) else { throw GGUFError(path, .truncated(what: what, offset: reader.offset)) }
    return bytes
  }

  private mutating func name(_ what: String) throws -> String {
    let start = reader.offset
    guard let text = String(validating: try string(what), as: UTF8.self) else {
      throw GGUFError(path, .invalid(what: what, offset: start, expected: "valid UTF-8"))
    }
    return text
  }

  /// A count, if the rest of the file can hold so many.
  private func checked(_ count: UInt64, _ what: @autoclosure () -> String, bytesEach: Int) throws -> Int {
    let limit = reader.remaining / bytesEach
    guard count <= UInt64(limit) else { throw GGUFError(path, .count(what: what(), found: count, limit: limit)) }
    return Int(count)
  }
}
