/// What a page may ask for at most. More is refused with the number and the limit.
public struct ExplorerLimits: Sendable, Encodable {
  public var promptBytes = 4000
  public var concepts = 24
  public var conceptBytes = 100
  public var steps = 200
  public var frames = 200
  /// Pixels along a side of a picture that is made.
  public var side = 2048
  public var samples = 64
  public var interventions = 16
  /// Runs that wait.
  public var queue = 64
  /// Bytes of an uploaded file, and pixels of a picture.
  public var uploadBytes = 24 << 20
  public var uploadPixels = 40_000_000
  /// Files that were uploaded, all together.
  public var uploads = 200
  /// Bytes of any other request.
  public var requestBytes = 64 << 10
  /// Pages that listen for news at once.
  public var listeners = 128

  public init() {}
}

/// A request that is not met, with the status that says why.
public struct Refusal: Error, CustomStringConvertible, Sendable {
  public var status: Int
  public var description: String

  public init(_ status: Int, _ description: String) {
    self.status = status
    self.description = description
  }

  /// Of a request that is wrong in itself.
  public init(_ description: String) { self.init(400, description) }
}
