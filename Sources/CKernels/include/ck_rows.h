// Kernels that look at a whole row (the last axis) at a time: softmax, normalisations, rotary embedding; and reductions
// over any axes. Inputs and outputs f32, bf16 or any other type: rows are brought to f32 in the L1 cache. Results do
// not depend on the number of threads.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ck_convert.h"
#include "ck_elementwise.h"

// One row a call. x and y may be equal.
typedef struct ck_row_ops {
  double (*sum)(const float *x, size_t n);
  double (*sum_of_squares)(const float *x, float centre, size_t n);  // of x - centre
  float (*largest)(const float *x, size_t n);                        // NaN if there is one; n > 0
  float (*smallest)(const float *x, size_t n);
  void (*add_to)(double *sums, const float *x, size_t n);            // sums[i] += x[i]
  void (*softmax)(const float *x, float *y, size_t n);
  void (*log_softmax)(const float *x, float *y, size_t n);
  // y = (x - mean) * factor, * weight + bias, * (1 + scale) + shift; null pointers are left out, weight and bias
  // (scale and shift) come together or not at all, except weight alone.
  void (*normalize)(const float *x, float *y, size_t n, float mean, float factor, const float *weight,
                    const float *bias, const float *scale, const float *shift);
  // y = (x - centre) * scale + shift, and its SiLU.
  void (*scale_shift)(const float *x, float *y, size_t n, float centre, float scale, float shift);
  void (*scale_shift_silu)(const float *x, float *y, size_t n, float centre, float scale, float shift);
  // y = (x - centre) * scale + shift, element by element, or the SiLU of that.
  void (*modulate)(const float *x, float *y, size_t n, float centre, const float *scale, const float *shift, bool silu);
  // Pairs (x[2i], x[2i + 1]), or (x[i], x[i + n / 2]), turned by the angles of cosine and sine [n].
  void (*rotate_pairs)(const float *x, float *y, const float *cosine, const float *sine, size_t n);
  void (*rotate_halves)(const float *x, float *y, const float *cosine, const float *sine, size_t n);
} ck_row_ops;

// Rows on three outer axes; every row is n contiguous elements. Strides in elements.
typedef struct ck_rows {
  size_t sizes[3], n;
  const void *x;
  ck_type x_type;
  ptrdiff_t x_strides[3];
  void *y;
  ck_type y_type;
  ptrdiff_t y_strides[3];
} ck_rows;

void ck_softmax(const struct ck_isa *isa, const ck_rows *rows, bool logarithm);

typedef struct ck_norm {
  bool rms;        // divide by the root mean square, without subtracting the mean
  float epsilon;   // added to the variance (the mean square)
  const float *weight, *bias;            // [n]; null, or weight alone, or both
  const float *scale, *shift;            // rows of n, both or neither: y * (1 + scale) + shift
  ptrdiff_t modulation_strides[3];       // of scale's and shift's rows on the outer axes, 0 where shared
} ck_norm;

// Layer norm (arXiv 1607.06450) or RMS norm (arXiv 1910.07467) of every row, modulated as in DiT (arXiv 2212.09748).
void ck_normalize_rows(const struct ck_isa *isa, const ck_rows *rows, const ck_norm *norm);

// A coarser grid that scales and shifts what was normalised: every element of it stands for `repeat` columns of the rows
// that name its row. Sources are [batch, channels, coarse_rows, coarse_columns], f32.
typedef struct ck_group_modulation {
  const float *scale, *shift;
  size_t rows, columns;              // of x: spatial = rows * columns
  size_t coarse_rows, coarse_columns, repeat;  // columns = coarse_columns * repeat
  const size_t *coarse_row;          // [rows]
} ck_group_modulation;

// Group norm (arXiv 1803.08494) of x [batch, channels, spatial], contiguous; weight and bias [channels], both or
// neither; optionally followed by scale and shift of a coarser grid (`modulation`, may be NULL), and by SiLU.
// false: out of memory, nothing written.
bool ck_group_norm(const struct ck_isa *isa, const void *x, ck_type x_type, void *y, ck_type y_type, size_t batch,
                   size_t channels, size_t spatial, size_t groups, float epsilon, const float *weight,
                   const float *bias, const ck_group_modulation *modulation, bool silu);

// Rotary position embedding (arXiv 2104.09864) of rows [batch, heads, tokens][n] by tables [tokens, n]: interleaved
// pairs as in FLUX and CogVideoX, or the two halves of a row as in LLaMA.
void ck_rotate(const struct ck_isa *isa, const ck_rows *rows, const float *cosine, const float *sine, bool halves);

typedef enum ck_reduction {
  ck_reduce_sum, ck_reduce_mean, ck_reduce_product, ck_reduce_min, ck_reduce_max, ck_reduce_argmin, ck_reduce_argmax,
  ck_reduce_variance,  // divided by count - correction
  ck_reduce_all, ck_reduce_any
} ck_reduction;

// y[kept] = reduction of x over the last `reduced` of `rank` axes (the wrapper permutes them there), computed in
// f32 with f64 sums, f64 or i64. y is contiguous, of compute's type; i64 for argmin and argmax (an index in
// row-major order of the reduced axes; first of equals, a NaN counts as most extreme); u8 for all and any.
// false: out of memory.
bool ck_reduce(const struct ck_isa *isa, ck_reduction reduction, ck_type compute, const void *x, ck_type type,
               size_t rank, size_t reduced, const size_t *sizes, const ptrdiff_t *strides, double correction, void *y);
