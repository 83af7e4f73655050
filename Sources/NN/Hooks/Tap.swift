import Tensor

/// Hands tensors of one stream in one block to the processors that want them. Does nothing where nobody does.
public struct Tap {
  let run: HookRun?
  let hooks: BlockHooks?
  let block: BlockID
  let stream: StreamID

  /// Passes `tensor` through the processors at this point.
  public func callAsFunction(_ point: Site.Point, _ tensor: Tensor) -> Tensor {
    guard let run, let wanting = hooks?.sites[Site(block, stream, point)] else { return tensor }
    return run.visit(Site(block, stream, point), tensor, wanting)
  }

  /// Whether anybody wants this point: lets a block fuse past it when nobody does.
  public func wants(_ point: Site.Point) -> Bool { hooks?.sites[Site(block, stream, point)] != nil }
}
