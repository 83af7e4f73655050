// What the planner (gemm.c, conv.c) hands to the kernels of an instruction set (gemm*.inc).
#pragma once
#include <stdbool.h>
#include <string.h>

#include "ck_gemm.h"

// The bounds every table keeps to, so that the planner can size its scratch.
enum { ck_gemm_max_tile_rows = 16, ck_gemm_max_tile_columns = 64 };

// Words of 32 bits in a line of the caches.
enum { ck_line_words = 16 };

// Up to so many rows, two blocks of 16-bit floats are multiplied side by side (gemm_skinny.inc).
enum { ck_gemm_side_by_side_rows = 4 };

// Words of a row of A behind the codes of a group, in products in integers (integer.inc).
enum { ck_gemm_integer_extras = 4 };

// One row of A with everything its results need.
typedef struct ck_gemm_row {
  const char *a;
  char *c;
  const char *residual;
  const float *gate;
} ck_gemm_row;

typedef struct ck_gemm_plan {
  // The product, of at most a few hundred rows at a time (a "slab").
  size_t rows, columns, depth;
  ck_gemm_type a_type, b_type, c_type, residual_type;
  ptrdiff_t a_column_stride;                   // bytes
  const char *b;
  ptrdiff_t b_row_stride, b_column_stride;     // bytes
  const ck_gemm_row *row;
  const float *bias;                           // per column, or per row of C when bias_per_row
  bool bias_per_row;
  float alpha;
  ck_activation activation;

  // A convolution's B is gathered from the picture instead: columns are output positions, k is (channel, tap).
  const ck_conv_args *conv;
  const float *conv_x;                         // the group's first channel in the first picture
  size_t conv_taps;
  size_t pictures;                             // chunks also run over pictures
  size_t b_picture_stride, c_picture_stride;   // bytes; C's is the residual's too

  // The partition.
  bool dot;                                    // multiply in bf16 pairs
  size_t steps, step_blocks;                   // words of a row of A, and how many blocks of them
  ck_reading reading;                          // of B, where rows are few
  size_t few_rows;                             // padded, by gemm_skinny.inc or gemm_upright.inc; 0 on the general path
  size_t tiles;                                // row tiles of the slab, of nearly equal height
  size_t tiles_per_chunk, row_chunks;
  size_t panels, panels_per_chunk, column_chunks;
  uint32_t *packed_a;                          // [step block][tile][step][row of the tile]
  _Atomic bool *failed;                        // set when a chunk found no memory
} ck_gemm_plan;

// Products in tiles of 16 × 16 (AMX), driven by gemm_tiles.c. Columns are dealt out in panels.
enum { ck_gemm_tile_height = 16, ck_gemm_tile_depth = 32, ck_gemm_tile_panel = 96 };
typedef struct ck_gemm_tile_ops {
  size_t block_tiles;                                       // of k
  void (*pack_rows)(const ck_gemm_plan *plan, size_t tile);  // one row tile, all of k
  void (*chunk)(const ck_gemm_plan *plan, size_t chunk);
} ck_gemm_tile_ops;

// A convolution without strides and groups by strips of the result, driven by conv_strips.c: rows × columns positions of one
// slice, each from a converted copy of what it sees, height × width positions of kernel[0] frames. The copy holds a line of
// words per position and tile of channels; a word is one channel's f32, or two channels' bf16.
enum { ck_conv_line = 16 };
typedef struct ck_conv_strip_plan {
  const ck_conv_args *args;
  size_t channel_tiles, output_groups, taps;
  size_t rows, columns, down, across;     // of a strip; and strips
  size_t parts, part_groups;              // of a strip's outputs, and a part's groups at most
  size_t height, width, tile_bytes;       // of what it sees, and its bytes in a tile of channels
  size_t block_tiles;                     // of channels, converted at a time
  const ptrdiff_t *tap;                   // [taps] bytes from a position to what it sees
  bool streams;                           // the result is written past the caches
  char *weights;                          // [block][group of outputs][channel tile][tap][16 outputs at a time][line][16]
  _Atomic bool *failed;
} ck_conv_strip_plan;

typedef struct ck_conv_strip_ops {
  size_t tile_channels, group_outputs, least_outputs;
  size_t block_weights;  // bytes of a group's weights that the first cache is to keep, which bounds a block of channels; or 0
  void (*pack_weights)(const ck_conv_strip_plan *plan, size_t index);  // of channel_tiles × output_groups
  void (*chunk)(const ck_conv_strip_plan *plan, size_t index);
} ck_conv_strip_ops;

typedef struct ck_gemm_ops ck_gemm_ops;
struct ck_gemm_ops {
  size_t tile_rows, tile_columns, block_steps;
  size_t group_steps;  // in products in integers, words of a group of 32 values; else 0
  bool has_dot;
  size_t (*few_height)(const ck_gemm_plan *plan);         // 0 where the plan takes the general path
  void (*pack_a)(const ck_gemm_plan *plan, size_t tile);  // one row tile, all of k
  void (*chunk)(const ck_gemm_plan *plan, size_t chunk);
  const ck_gemm_tile_ops *tiles;                          // NULL where the set has none
  // Convolutions by strips, of f32 and where operands may be rounded to bf16; NULL where the set has none.
  const ck_conv_strip_ops *conv_f32, *conv_bf16;
  // Of products in integers, those of several rows with codes of 8 bits; NULL where they are the same.
  const ck_gemm_ops *bytes;
};

// The kernels' part of a plan that has rows, columns, depth, operands and `dot`: partitions, packs and runs it.
// `rows` is called for each slab to fill the row table with the rows from `first` on.
typedef void ck_gemm_fill_rows(const void *context, size_t first, size_t count, ck_gemm_row *row);
bool ck_gemm_run(const ck_gemm_ops *ops, ck_gemm_plan *plan, ck_gemm_fill_rows *fill, const void *context);
// The same in tiles, for a plan that multiplies in bf16 and is no convolution.
bool ck_gemm_run_tiles(const ck_gemm_tile_ops *ops, ck_gemm_plan *plan, ck_gemm_fill_rows *fill, const void *context);

bool ck_conv_run_strips(const ck_conv_strip_ops *ops, const ck_conv_args *args);

// The reading of few rows' weights that suits this CPU (isa.c).
ck_reading ck_isa_reading(void);

// Below this many multiply-adds a chunk is not worth handing to another thread.
enum { ck_gemm_minimum_chunk = 1 << 18 };

static inline size_t minimum(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t maximum(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t ck_gemm_ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
// First row of a tile: rows are dealt out evenly, so that 9 rows are 5 + 4 and not 8 + 1.
static inline size_t ck_gemm_tile_start(const ck_gemm_plan *plan, size_t tile) {
  const size_t extra = plan->rows % plan->tiles;
  return tile * (plan->rows / plan->tiles) + (tile < extra ? tile : extra);
}
static inline size_t ck_gemm_element_size(ck_gemm_type type) { return type == ck_gemm_f32 ? 4 : 2; }

static inline bool ck_gemm_is_blocks(ck_gemm_type type) { return type >= ck_gemm_q8_0; }

// Bytes of the first `k` values of a run. Blocks of 256 that k cuts count whole.
static inline size_t ck_gemm_run_bytes(ck_gemm_type type, size_t k) {
  switch (type) {
    case ck_gemm_f32: return 4 * k;
    case ck_gemm_bf16:
    case ck_gemm_f16: return 2 * k;
    case ck_gemm_q8_0: return ck_gemm_ceil_div(k, 32) * 34;
    case ck_gemm_q4_0: return ck_gemm_ceil_div(k, 32) * 18;
    case ck_gemm_q4_k: return ck_gemm_ceil_div(k, 256) * 144;
    case ck_gemm_q5_k: return ck_gemm_ceil_div(k, 256) * 176;
    case ck_gemm_q6_k: return ck_gemm_ceil_div(k, 256) * 210;
  }
}

// Whether products of few rows ask for what follows of B in the order of memory, which its runs fill without gaps.
static inline bool ck_gemm_asks_in_order(const ck_gemm_plan *plan) {
  return plan->reading == ck_reading_in_order &&
         plan->b_column_stride == (ptrdiff_t)ck_gemm_run_bytes(plan->b_type, plan->depth);
}

static inline float ck_gemm_half_to_float(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;
  if (magnitude >= 0x7c00) {  // infinity, NaN
    const uint32_t bits = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
    float x;
    memcpy(&x, &bits, 4);
    return x;
  }
  const uint32_t scaled = magnitude << 13;
  float x;
  memcpy(&x, &scaled, 4);
  x *= 0x1p112f;  // rebias the exponent; denormals come out right too
  return sign ? -x : x;
}
