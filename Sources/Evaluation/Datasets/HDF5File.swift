import CHDF5
import Formats
import Synchronization
import Tensor

/// A reference to an object of an HDF5 file.
struct HDF5Reference: Sendable, Equatable {
  let address: hobj_ref_t
}

/// What MATLAB's files of version 7.3 need of HDF5: arrays of references, of whole numbers and of texts.
///
/// The library is not made for several threads: all calls are made one after the other.
final class HDF5File: Sendable {
  /// Relative to the data set, for messages.
  let name: String
  private let file: hid_t
  private let byteCount: Int
  private static let library = Mutex(())

  /// - Throws: `DatasetProblem` for a file that HDF5 cannot open: of another kind, or cut off
  init(_ path: String, name: String) throws {
    self.name = name
    // The library would wait for whoever writes to a pipe.
    do { byteCount = try MappedFile(path: path).count } catch let error as FileError {
      throw DatasetProblem(name, error.explanation)
    }
    file = Self.library.withLock { _ in
      chdf5_be_silent()
      return H5Fopen(path, 0, 0)
    }
    if file < 0 { throw DatasetProblem(name, "not a sound HDF5 (MATLAB 7.3) file: of another kind, or cut off") }
  }

  deinit { _ = Self.library.withLock { _ in H5Fclose(file) } }

  /// The references that a field of a structure array has.
  func references(_ group: String, field: String) throws -> [HDF5Reference] {
    try Self.library.withLock { _ in
      guard H5Lexists(file, group, 0) > 0 else { throw DatasetProblem(name, "there is no variable '\(group)'") }
      guard H5Lexists(file, "\(group)/\(field)", 0) > 0 else {
        throw DatasetProblem(name, "'\(group)' has no field '\(field)'")
      }
      guard chdf5_is_hard(file, group) != 0, chdf5_is_hard(file, "\(group)/\(field)") != 0 else {
        throw DatasetProblem(name, "'\(group)/\(field)' leads out of the file")
      }
      let object = H5Oopen(file, "\(group)/\(field)", 0)
      defer { H5Oclose(object) }
      return try references(of: object)
    }
  }

  /// The references of a cell.
  func references(_ reference: HDF5Reference) throws -> [HDF5Reference] {
    try Self.library.withLock { _ in try withObject(reference, references(of:)) }
  }

  /// An array of whole numbers, `u8` or `u16`.
  func integers(_ reference: HDF5Reference) throws -> Tensor {
    try Self.library.withLock { _ in
      try withObject(reference) { object in
        guard isDataset(object), chdf5_holds_integers(object) != 0 else {
          throw DatasetProblem(name, "a reference leads to no array of whole numbers of 8 or 16 bits")
        }
        let shape = try shape(of: object), isSmall = size(of: object) == 1
        var tensor = Tensor(uninitialized: shape, dtype: isSmall ? .u8 : .u16)
        guard tensor.count > 0 else { throw DatasetProblem(name, "an empty array") }
        try checkStorage(of: object, bytes: tensor.byteCount, shape)
        let type = isSmall ? chdf5_native_u8() : chdf5_native_u16()
        guard chdf5_read(object, type, tensor.uniquePointer()) >= 0 else {
          throw DatasetProblem(name, "an array of shape \(shape) cannot be read: the file is damaged")
        }
        return tensor
      }
    }
  }

  /// A text: MATLAB stores UTF-16.
  func text(_ reference: HDF5Reference) throws -> String {
    let units = try integers(reference).converted(to: .f32).floats.map { UInt16($0) }
    return String(decoding: units, as: UTF16.self)
  }

  // MARK: Under the lock

  private func withObject<Result>(_ reference: HDF5Reference, _ body: (hid_t) throws -> Result) throws -> Result {
    var address = reference.address, object = hid_t(-1)
    guard address != 0, chdf5_dereference(file, &address, &object) >= 0, object >= 0 else {
      throw DatasetProblem(name, "a reference leads nowhere")
    }
    defer { H5Oclose(object) }
    return try body(object)
  }

  private func references(of object: hid_t) throws -> [HDF5Reference] {
    guard isDataset(object) else { throw DatasetProblem(name, "a reference leads to a group, expected an array") }
    // MATLAB writes an empty array as its extents.
    guard chdf5_holds_references(object) != 0 else { return [] }
    let shape = try shape(of: object), count = shape.reduce(1, *)
    var references = [hobj_ref_t](repeating: 0, count: count)
    if count > 0 { try checkStorage(of: object, bytes: count * MemoryLayout<hobj_ref_t>.size, shape) }
    guard count == 0 || chdf5_read_references(object, &references) >= 0 else {
      throw DatasetProblem(name, "references cannot be read: the file is damaged")
    }
    return references.map { HDF5Reference(address: $0) }
  }

  private func isDataset(_ object: hid_t) -> Bool { H5Iget_type(object) == H5I_DATASET }

  private func checkStorage(of dataset: hid_t, bytes: Int, _ shape: [Int]) throws {
    guard chdf5_is_sound(dataset, UInt64(bytes), UInt64(byteCount)) != 0 else {
      throw DatasetProblem(
        name, "an array of shape \(shape) is not where the file says, or stored in a way MATLAB has not")
    }
  }

  private func size(of dataset: hid_t) -> Int {
    let type = H5Dget_type(dataset)
    defer { H5Tclose(type) }
    return H5Tget_size(type)
  }

  private func shape(of dataset: hid_t) throws -> [Int] {
    let space = H5Dget_space(dataset)
    defer { H5Sclose(space) }
    let rank = H5Sget_simple_extent_ndims(space)
    guard (0...8).contains(rank) else { throw DatasetProblem(name, "an array of \(rank) axes") }
    var extents = [hsize_t](repeating: 0, count: Int(rank))
    guard rank == 0 || H5Sget_simple_extent_dims(space, &extents, nil) >= 0 else {
      throw DatasetProblem(name, "an array without a shape")
    }
    var count: hsize_t = 1
    for extent in extents {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow, product <= 1 << 28 else {
        throw DatasetProblem(name, "an array of shape \(extents) is too large")
      }
      count = product
    }
    return extents.map(Int.init)
  }
}
