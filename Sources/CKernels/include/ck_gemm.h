// Matrix products: C = epilogue(A · B) with f32 accumulation, packed panels and fused epilogues; convolution on
// the same engine (implicit GEMM). A result row depends on its own row of A alone: the sum over k runs in one
// fixed order per instruction set, whatever the number of rows, their segments, or the threads.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ck_isa.h"

typedef enum ck_gemm_type {
  ck_gemm_f32,
  ck_gemm_bf16,
  ck_gemm_f16,
  // ggml's blocks, of B only: runs of k in whole blocks, unpacked to f32 as they are used.
  ck_gemm_q8_0,
  ck_gemm_q4_0,
  ck_gemm_q4_k,
  ck_gemm_q5_k,
  ck_gemm_q6_k,
} ck_gemm_type;

typedef enum ck_activation {
  ck_activation_none,
  ck_activation_gelu_tanh,
  ck_activation_gelu_erf,
  ck_activation_silu,
  ck_activation_quick_gelu,
} ck_activation;

// How products of few rows read B, many runs of k side by side: by what the prefetchers of a CPU follow. Results have the same
// bits.
typedef enum ck_reading {
  ck_reading_suitable,    // the one of the following that suits this CPU
  ck_reading_neighbours,  // runs that lie next to each other
  ck_reading_in_order,    // the same, and what comes next is asked for in the order of memory
  ck_reading_apart,       // runs as far apart as a thread's share allows, each followed by its own neighbour
} ck_reading;

// Rows of A that lie together, and where their results go. Strides are in elements; C's columns are contiguous.
typedef struct ck_gemm_segment {
  size_t rows;
  const void *a;
  ptrdiff_t a_row_stride;
  void *c;
  ptrdiff_t c_row_stride;
  const float *gate;     // [columns], or NULL for 1
  const void *residual;  // [rows, columns], or NULL for 0; may be C itself (accumulation)
  ptrdiff_t residual_row_stride;
} ck_gemm_segment;

// C[m, n] = residual[m, n] + gate[n] * activation(alpha * sum_k A[m, k] * B[k, n] + bias[n]).
// Where `may_round`, the `avx512bf16` and `amx` tables multiply in bf16 pairs where B is bf16, and `amx` also where B
// consists of blocks (f32 rows of A, and unpacked blocks, are rounded to bf16, nearest even); every other table and type
// widens both sides to f32, exactly.
typedef struct ck_gemm_args {
  size_t columns, depth;
  const ck_gemm_segment *segments;
  size_t segment_count;
  ck_gemm_type a_type, b_type, c_type, residual_type;
  ptrdiff_t a_column_stride;  // between neighbouring k of A
  const void *b;
  ptrdiff_t b_row_stride;     // between neighbouring k of B: 1 for weights [out, in]
  ptrdiff_t b_column_stride;  // between neighbouring n of B; bytes where B consists of blocks
  const void *bias;           // [columns], or NULL
  ck_gemm_type bias_type;
  float alpha;
  bool may_round;             // whether operands may be rounded to bf16
  ck_reading reading;
  bool may_quantize;          // whether A may be rounded to 8 bits where B consists of blocks; comes first
  ck_activation activation;
} ck_gemm_args;

// False only when scratch memory could not be had.
bool ck_gemm(const ck_isa *isa, const ck_gemm_args *args);

// `count` products of one shape: product i reads a[i], b[i] and writes c[i]; no segments, gates or residuals.
typedef struct ck_gemm_batch {
  size_t count, rows, columns, depth;
  const void *const *a;
  const void *const *b;
  void *const *c;
  ck_gemm_type a_type, b_type, c_type;
  ptrdiff_t a_row_stride, a_column_stride, b_row_stride, b_column_stride, c_row_stride;
  float alpha;
  bool may_round;
} ck_gemm_batch;

bool ck_gemm_batched(const ck_isa *isa, const ck_gemm_batch *batch);

// Cross-correlation as torch.nn.functional.conv3d computes it; a 2-D convolution has depth 1 throughout.
// Axes are in the order depth, height, width.
typedef struct ck_conv_args {
  size_t batch, groups, in_channels, out_channels;
  size_t in_size[3], out_size[3], kernel[3];
  size_t stride[3], dilation[3];
  size_t padding_before[3];   // what follows the input is implied by out_size
  const float *x;             // [batch, in_channels, depth, height, width]
  // What stands before the first slice of depth, of which padding_before[0] are seen: `front` [batch, in_channels,
  // padding_before[0], height, width], of one group; or the first slice over and over; or zeros.
  const float *front;
  bool repeats_first;
  const void *weight;         // [out_channels, in_channels / groups, kd, kh, kw]
  ck_gemm_type weight_type;
  bool may_round;             // whether x may be rounded to bf16 where the weights are bf16
  const float *bias;          // [out_channels], or NULL
  const float *residual;      // as y, or NULL
  ck_activation activation;
  float *y;                   // [batch, out_channels, out depth, out height, out width]
} ck_conv_args;

bool ck_conv(const ck_isa *isa, const ck_conv_args *args);
