// Element-wise operations over up to three operands of one (broadcast) shape, any strides, any element types.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "ck_convert.h"

typedef enum ck_op {
  // one operand
  ck_op_copy, ck_op_negate, ck_op_abs, ck_op_sign, ck_op_square, ck_op_sqrt, ck_op_rsqrt, ck_op_reciprocal,
  ck_op_exp, ck_op_expm1, ck_op_log, ck_op_log1p, ck_op_sin, ck_op_cos, ck_op_tanh, ck_op_erf,
  ck_op_floor, ck_op_ceil, ck_op_round, ck_op_sigmoid, ck_op_relu, ck_op_gelu_tanh, ck_op_gelu_erf, ck_op_silu,
  ck_op_quick_gelu, ck_op_softplus, ck_op_logical_not, ck_op_is_nan, ck_op_is_finite,
  // two; comparisons and logic give 0 or 1
  ck_op_add, ck_op_subtract, ck_op_multiply, ck_op_divide, ck_op_minimum, ck_op_maximum, ck_op_power,
  ck_op_equal, ck_op_not_equal, ck_op_less, ck_op_less_equal, ck_op_greater, ck_op_greater_equal,
  ck_op_and, ck_op_or, ck_op_xor,
  // three
  ck_op_select,        // a != 0 ? b : c
  ck_op_clamp,         // a limited to b ... c
  ck_op_multiply_add,  // a * b + c
  ck_op_modulate,      // a * (1 + b) + c
} ck_op;
enum { ck_op_count = ck_op_modulate + 1, ck_max_operands = 3, ck_max_rank = 12 };

// n elements of every operand; the output may be one of the inputs.
typedef void (*ck_op_f32)(const float *const *in, float *out, size_t n);
typedef void (*ck_op_f64)(const double *const *in, double *out, size_t n);
typedef void (*ck_op_i64)(const int64_t *const *in, int64_t *out, size_t n);

// Null where an operation has no meaning for the type (the transcendental ones for integers).
typedef struct ck_elementwise_ops {
  ck_op_f32 f32[ck_op_count];
  ck_op_f64 f64[ck_op_count];
  ck_op_i64 i64[ck_op_count];
} ck_elementwise_ops;

// Number of operands an operation reads.
size_t ck_op_operands(ck_op op);

typedef struct ck_operand {
  const void *data;
  ck_type type;
  ptrdiff_t strides[ck_max_rank];  // in elements, 0 where broadcast
} ck_operand;

// out = op(in...), computed in `compute` (f32, f64 or i64), over `rank` axes of the given sizes. out.data is written;
// it may be an input with the same type and strides, and must not overlap one otherwise.
void ck_map(const struct ck_isa *isa, ck_op op, ck_type compute, size_t rank, const size_t *sizes,
            const ck_operand *in, const ck_operand *out);
