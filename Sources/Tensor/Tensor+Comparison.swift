// Comparisons and logic, element by element with broadcasting; results are `bool`.
import CKernels

extension Tensor {
  public func equal(to other: Tensor) -> Tensor { compared(ck_op_equal, other) }
  public func notEqual(to other: Tensor) -> Tensor { compared(ck_op_not_equal, other) }
  public func less(than other: Tensor) -> Tensor { compared(ck_op_less, other) }
  public func lessOrEqual(to other: Tensor) -> Tensor { compared(ck_op_less_equal, other) }
  public func greater(than other: Tensor) -> Tensor { compared(ck_op_greater, other) }
  public func greaterOrEqual(to other: Tensor) -> Tensor { compared(ck_op_greater_equal, other) }

  public func equal(to other: Float) -> Tensor { compared(ck_op_equal, scalar(other)) }
  public func notEqual(to other: Float) -> Tensor { compared(ck_op_not_equal, scalar(other)) }
  public func less(than other: Float) -> Tensor { compared(ck_op_less, scalar(other)) }
  public func lessOrEqual(to other: Float) -> Tensor { compared(ck_op_less_equal, scalar(other)) }
  public func greater(than other: Float) -> Tensor { compared(ck_op_greater, scalar(other)) }
  public func greaterOrEqual(to other: Float) -> Tensor { compared(ck_op_greater_equal, scalar(other)) }

  public func isNaN() -> Tensor { tested(ck_op_is_nan) }
  /// Neither NaN nor infinite.
  public func isFinite() -> Tensor { tested(ck_op_is_finite) }

  // Logic: any value but zero counts as true.
  public func logicalAnd(_ other: Tensor) -> Tensor { compared(ck_op_and, other) }
  public func logicalOr(_ other: Tensor) -> Tensor { compared(ck_op_or, other) }
  public func logicalXor(_ other: Tensor) -> Tensor { compared(ck_op_xor, other) }
  public func logicalNot() -> Tensor { mapped(ck_op_logical_not, [self], as: .bool, computing: dtype.computeType) }

  /// `a` where the condition holds, `b` elsewhere, all three broadcast to one shape.
  ///
  /// - Parameter condition: `bool`
  public static func `where`(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
    guard condition.dtype == .bool else {
      tensorFailure("where: the condition, shape \(condition.shape), is \(condition.dtype), not bool")
    }
    let type = DType.promoted(a.dtype, b.dtype)
    return condition.mapped(ck_op_select, [condition, a, b], as: type, computing: type.computeType)
  }

  /// `value` wherever the condition holds.
  public func filled(where condition: Tensor, with value: Float) -> Tensor {
    Tensor.where(condition, Tensor(value).converted(to: dtype), self)
  }

  private func compared(_ op: ck_op, _ other: Tensor) -> Tensor {
    mapped(op, [self, other], as: .bool, computing: DType.promoted(dtype, other.dtype).computeType)
  }

  private func tested(_ op: ck_op) -> Tensor {
    mapped(op, [self], as: .bool, computing: dtype.floatType.computeType)
  }
}
