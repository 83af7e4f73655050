// The runs folder: a folder for each run, named by its number, and the files that were uploaded.

import Foundation

/// Finds and makes files below the runs folder, and nowhere else.
public struct RunStore: Sendable {
  public let folder: String
  static let tensorsName = "tensors.safetensors"
  static let requestName = "request.json"

  /// - Parameter make: makes a folder and those above it, where they do not exist
  public init(
    folder: String,
    make: (String) throws -> Void = {
      try FileManager.default.createDirectory(atPath: $0, withIntermediateDirectories: true)
    }
  ) throws {
    self.folder = URL(fileURLWithPath: folder).standardizedFileURL.path
    try make(uploads)
  }

  private var uploads: String { "\(folder)/uploads" }

  /// Runs that are complete, oldest first.
  func finished() -> [(id: String, title: String, kind: String, at: Date)] {
    struct Description: Decodable {
      struct Run: Decodable { var command: String? }
      var title: String
      var run: Run?
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter(Self.isID).compactMap { id in
      guard let path = try? file("metadata.json", of: id), let data = FileManager.default.contents(atPath: path),
        let found = try? JSONDecoder().decode(Description.self, from: data)
      else { return nil }
      let attributes = try? FileManager.default.attributesOfItem(atPath: path)
      return (id, found.title, found.run?.command ?? "", attributes?[.modificationDate] as? Date ?? .distantPast)
    }.sorted { Int($0.id) ?? 0 < Int($1.id) ?? 0 }
  }

  /// Folders of runs that a server before this one began and did not finish: they hold a request and nothing else.
  func removeUnfinished() {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    for id in names where Self.isID(id) { discard(id) }
  }

  /// A folder for a new run, numbered after the last.
  ///
  /// - Returns: its number
  func reserve() throws -> String {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    var number = names.filter(Self.isID).compactMap { Int($0) }.max() ?? 0
    for _ in 0..<1000 {
      number += 1
      let digits = "\(number)", id = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
      if mkdir(path(id), 0o777) == 0 { return id }
      if errno != EEXIST {
        throw Refusal(500, "\(path(id)) cannot be made: \(String(cString: strerror(errno)))")
      }
    }
    throw Refusal(500, "\(folder): no free number for a run")
  }

  /// Removes the folder of a run that came to nothing; one with results stays.
  func discard(_ id: String) {
    let left = (try? FileManager.default.contentsOfDirectory(atPath: path(id))) ?? [Self.requestName, "?"]
    guard left.allSatisfy({ $0 == Self.requestName || $0.hasPrefix(".") }) else { return }
    try? FileManager.default.removeItem(atPath: path(id))
  }

  func path(_ id: String) -> String { "\(folder)/\(id)" }

  static func isID(_ text: some StringProtocol) -> Bool {
    (1...9).contains(text.utf8.count) && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  /// Letters, digits, dots, hyphens and underscores, and no dot in front: nothing that leads out of a folder.
  static func isFileName(_ text: some StringProtocol) -> Bool {
    (1...128).contains(text.utf8.count) && text.first != "."
      && text.unicodeScalars.allSatisfy {
        $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "._-".unicodeScalars.contains($0))
      }
  }

  /// A file of a run, or the picture of a frame of a video.
  ///
  /// - Throws: `Refusal` for one that is not there, or is no file of its own
  func file(_ name: String, of id: String, isFrame: Bool = false) throws -> String {
    guard Self.isID(id) else { throw Refusal(404, "no run '\(id.prefix(40))'") }
    let folder = isFrame ? "\(path(id))/frames" : path(id)
    var status = stat()
    guard lstat(path(id), &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw Refusal(404, "no run '\(id.prefix(40))'")
    }
    return try plainFile(name, in: folder, what: "run \(id) has no file")
  }

  /// The tensors that a run has kept.
  func tensors(of id: String) throws -> String {
    do { return try file(Self.tensorsName, of: id) } catch {
      throw Refusal("run '\(id.prefix(40))' has kept no tensors to patch from: run it again with sites to keep")
    }
  }

  /// An uploaded file.
  func upload(_ name: String) throws -> String { try plainFile(name, in: uploads, what: "there is no uploaded file") }

  /// Keeps an uploaded file under a name made of what is in it.
  func keep(_ data: Data, ending: String, limit: Int) throws -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in data { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let name = "\(String(hash, radix: 16))-\(data.count).\(ending)"
    if (try? upload(name)) != nil { return name }
    let count = (try? FileManager.default.contentsOfDirectory(atPath: uploads))?.count ?? 0
    guard count < limit else {
      throw Refusal(507, "\(count) files were uploaded, which is as many as are kept: remove some from \(uploads)")
    }
    do { try data.write(to: URL(fileURLWithPath: "\(uploads)/\(name)"), options: .atomic) } catch {
      throw Refusal(500, "the file cannot be kept in \(uploads)")
    }
    return name
  }

  /// Links are not followed: they could lead anywhere.
  private func plainFile(_ name: String, in folder: String, what: String) throws -> String {
    let path = "\(folder)/\(name)"
    var folderStatus = stat(), status = stat()
    guard Self.isFileName(name), lstat(folder, &folderStatus) == 0, folderStatus.st_mode & S_IFMT == S_IFDIR,
      lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG
    else { throw Refusal(404, "\(what) '\(name.prefix(80))'") }
    return path
  }
}
