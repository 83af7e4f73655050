// The planner of matrix products: slabs of rows, tiles, panels, chunks; the arithmetic is in gemm.inc.
#include <stdatomic.h>
#include <string.h>

#include "ck_pool.h"
#include "gemm_plan.h"

// A slab's packed A may take this many words (32 MB), its chunk's partial sums this many (half of a 2 MB L2 cache).
enum { max_packed_words = 8 << 20, max_partial_words = 128 << 10, max_slab_rows = 512 };

typedef struct {
  const ck_gemm_ops *ops;
  const ck_gemm_plan *plan;
} region_t;

static void pack_chunk(void *context, size_t tile) {
  const region_t *region = context;
  region->ops->pack_a(region->plan, tile);
}
static void product_chunk(void *context, size_t chunk) {
  const region_t *region = context;
  region->ops->chunk(region->plan, chunk);
}

// Chunks as wide as the caches like, but enough of them to keep the threads even; a chunk packs its own panels of B,
// so rows are divided only when columns do not suffice.
static void partition(const ck_gemm_ops *ops, ck_gemm_plan *plan) {
  plan->tiles = plan->few_rows ? 1 : ck_gemm_ceil_div(plan->rows, ops->tile_rows);
  plan->panels = ck_gemm_ceil_div(plan->columns, ops->tile_columns);
  const size_t work = plan->rows * plan->columns * (plan->depth + 1) * plan->pictures;
  const size_t wanted = minimum(8 * ck_pool_threads(), work / ck_gemm_minimum_chunk + 1);
  const size_t fitting = maximum(1, max_partial_words / (plan->rows * ops->tile_columns));
  const size_t for_threads = maximum(1, plan->panels * plan->pictures / wanted);
  const size_t limit = minimum(fitting, for_threads);
  plan->column_chunks = ck_gemm_ceil_div(plan->panels, limit);
  plan->panels_per_chunk = ck_gemm_ceil_div(plan->panels, plan->column_chunks);
  plan->column_chunks = ck_gemm_ceil_div(plan->panels, plan->panels_per_chunk);
  const size_t have = plan->column_chunks * plan->pictures;
  plan->row_chunks = have >= wanted ? 1 : minimum(ck_gemm_ceil_div(wanted, have), ck_gemm_ceil_div(plan->tiles, 2));
  plan->tiles_per_chunk = ck_gemm_ceil_div(plan->tiles, plan->row_chunks);
  plan->row_chunks = ck_gemm_ceil_div(plan->tiles, plan->tiles_per_chunk);
}

static void run_slab(const ck_gemm_ops *ops, ck_gemm_plan *plan) {
  partition(ops, plan);
  region_t region = {ops, plan};
  if (plan->rows * plan->depth < ck_gemm_minimum_chunk / 8)
    for (size_t tile = 0; tile < plan->tiles; tile++) ops->pack_a(plan, tile);
  else
    ck_pool_run(plan->tiles, pack_chunk, &region);
  ck_pool_run(plan->row_chunks * plan->column_chunks * plan->pictures, product_chunk, &region);
}

// Where runs are best read apart, 16-bit floats of few rows are not: two blocks of each are read side by side, which is twice as
// many places. In order, one row takes 0.9 to 1.04 of the time on Zen 3 in bf16, 0.8 to 1 in f16.
static ck_reading reading(const ck_gemm_plan *plan) {
  if (plan->reading != ck_reading_suitable) return plan->reading;
  const bool narrow = plan->b_type == ck_gemm_bf16 || plan->b_type == ck_gemm_f16;
  const bool twice = narrow && plan->rows <= ck_gemm_side_by_side_rows;
  return twice && ck_isa_reading() == ck_reading_apart ? ck_reading_in_order : ck_isa_reading();
}

bool ck_gemm_run(const ck_gemm_ops *ops, ck_gemm_plan *plan, ck_gemm_fill_rows *fill, const void *context) {
  const size_t rows = plan->rows;
  if (ops->group_steps) plan->steps = ck_gemm_ceil_div(plan->depth, 32) * ops->group_steps;
  else plan->steps = plan->dot ? ck_gemm_ceil_div(plan->depth, 2) : plan->depth;
  plan->step_blocks = maximum(1, ck_gemm_ceil_div(plan->steps, ops->block_steps));
  plan->reading = reading(plan);
  plan->few_rows = ops->few_height(plan);
  const size_t slab_limit = minimum(max_slab_rows, maximum(ops->tile_rows, max_packed_words / maximum(1, plan->steps)));
  const size_t slabs = ck_gemm_ceil_div(rows, slab_limit);
  const size_t even = ck_gemm_ceil_div(ck_gemm_ceil_div(rows, slabs), ops->tile_rows) * ops->tile_rows;
  const size_t slab_rows = minimum(rows, even), packed_rows = maximum(slab_rows, plan->few_rows);
  const size_t table_bytes = ck_gemm_ceil_div(slab_rows * sizeof(ck_gemm_row), 64) * 64;
  char *scratch = ck_scratch(ck_scratch_gemm_a, table_bytes + 4 * packed_rows * plan->steps + 64);
  if (!scratch) return false;
  ck_gemm_row *table = (ck_gemm_row *)(void *)scratch;
  _Atomic bool failed = false;
  plan->row = table;
  plan->packed_a = (uint32_t *)(void *)(scratch + table_bytes);
  plan->failed = &failed;
  const float *bias = plan->bias;
  for (size_t first = 0; first < rows && !failed; first += slab_rows) {
    plan->rows = minimum(slab_rows, rows - first);
    if (bias && plan->bias_per_row) plan->bias = bias + first;
    fill(context, first, plan->rows, table);
    run_slab(ops, plan);
  }
  return !failed;
}

// Walks the segments from the slab's first row on.
static void fill_from_segments(const void *context, size_t first, size_t count, ck_gemm_row *row) {
  const ck_gemm_args *args = context;
  const ptrdiff_t a_size = (ptrdiff_t)ck_gemm_element_size(args->a_type);
  const ptrdiff_t c_size = (ptrdiff_t)ck_gemm_element_size(args->c_type);
  const ptrdiff_t residual_size = (ptrdiff_t)ck_gemm_element_size(args->residual_type);
  for (const ck_gemm_segment *s = args->segments; count > 0; s++) {
    if (first >= s->rows) {
      first -= s->rows;
      continue;
    }
    for (; first < s->rows && count > 0; first++, count--) {
      const ptrdiff_t r = (ptrdiff_t)first;
      *row++ = (ck_gemm_row){
          .a = (const char *)s->a + r * s->a_row_stride * a_size,
          .c = (char *)s->c + r * s->c_row_stride * c_size,
          .residual = s->residual ? (const char *)s->residual + r * s->residual_row_stride * residual_size : NULL,
          .gate = s->gate,
      };
    }
    first = 0;
  }
}

// The bias as f32: itself, or a widened copy in scratch.
static bool widen_bias(const ck_gemm_args *args, const float **bias) {
  *bias = args->bias;
  if (!args->bias || args->bias_type == ck_gemm_f32) return true;
  float *wide = ck_scratch(ck_scratch_gemm_bias, args->columns * sizeof(float));
  if (!wide) return false;
  const uint16_t *narrow = args->bias;
  for (size_t n = 0; n < args->columns; n++) {
    uint16_t half;
    memcpy(&half, narrow + n, 2);
    if (args->bias_type == ck_gemm_bf16) {
      const uint32_t bits = (uint32_t)half << 16;
      memcpy(&wide[n], &bits, 4);
    } else {
      wide[n] = ck_gemm_half_to_float(half);
    }
  }
  *bias = wide;
  return true;
}

bool ck_gemm(const ck_isa *isa, const ck_gemm_args *args) {
  size_t rows = 0;
  for (size_t s = 0; s < args->segment_count; s++) rows += args->segments[s].rows;
  if (rows == 0 || args->columns == 0) return true;
  const ptrdiff_t b_size = ck_gemm_is_blocks(args->b_type) ? 1 : (ptrdiff_t)ck_gemm_element_size(args->b_type);
  ck_gemm_plan plan = {
      .rows = rows,
      .columns = args->columns,
      .depth = args->depth,
      .a_type = args->a_type,
      .b_type = args->b_type,
      .c_type = args->c_type,
      .residual_type = args->residual_type,
      .a_column_stride = args->a_column_stride * (ptrdiff_t)ck_gemm_element_size(args->a_type),
      .b = args->b,
      .b_row_stride = args->b_row_stride * b_size,
      .b_column_stride = args->b_column_stride * b_size,
      .alpha = args->alpha,
      .reading = args->reading,
      .activation = args->activation,
      .pictures = 1,
      .dot = isa->gemm->has_dot && args->may_round && args->b_type == ck_gemm_bf16 && args->a_type != ck_gemm_f16,
  };
  if (!widen_bias(args, &plan.bias)) return false;
  const bool blocks = ck_gemm_is_blocks(args->b_type), narrow = blocks || args->b_type == ck_gemm_bf16;
  if (args->may_quantize && blocks && isa->gemm_integer) {
    const ck_gemm_ops *ops = isa->gemm_integer, *bytes = ops->bytes;
    return ck_gemm_run(bytes && rows > 1 && args->b_type == ck_gemm_q8_0 ? bytes : ops, &plan, fill_from_segments, args);
  }
  if (args->may_round && narrow && args->a_type != ck_gemm_f16 && isa->gemm->tiles)
    return ck_gemm_run_tiles(isa->gemm->tiles, &plan, fill_from_segments, args);
  return ck_gemm_run(isa->gemm, &plan, fill_from_segments, args);
}

typedef struct {
  const ck_isa *isa;
  const ck_gemm_batch *batch;
  size_t per_chunk;
  _Atomic bool failed;
} batch_region_t;

static void batch_product(batch_region_t *region, size_t i) {
  const ck_gemm_batch *batch = region->batch;
  const ck_gemm_segment segment = {
      .rows = batch->rows,
      .a = batch->a[i],
      .a_row_stride = batch->a_row_stride,
      .c = batch->c[i],
      .c_row_stride = batch->c_row_stride,
  };
  const ck_gemm_args args = {
      .columns = batch->columns,
      .depth = batch->depth,
      .segments = &segment,
      .segment_count = 1,
      .a_type = batch->a_type,
      .b_type = batch->b_type,
      .c_type = batch->c_type,
      .a_column_stride = batch->a_column_stride,
      .b = batch->b[i],
      .b_row_stride = batch->b_row_stride,
      .b_column_stride = batch->b_column_stride,
      .alpha = batch->alpha,
      .may_round = batch->may_round,
  };
  if (!ck_gemm(region->isa, &args)) region->failed = true;
}

static void batch_chunk(void *context, size_t chunk) {
  batch_region_t *region = context;
  const size_t end = minimum(region->batch->count, (chunk + 1) * region->per_chunk);
  for (size_t i = chunk * region->per_chunk; i < end; i++) batch_product(region, i);
}

bool ck_gemm_batched(const ck_isa *isa, const ck_gemm_batch *batch) {
  batch_region_t region = {.isa = isa, .batch = batch, .per_chunk = 1};
  const size_t work = batch->rows * batch->columns * (batch->depth + 1), threads = ck_pool_threads();
  // Few big products are divided one after the other; many, or small ones, go whole to the threads.
  if (batch->count < 2 * threads && work > 4 * ck_gemm_minimum_chunk) {
    for (size_t i = 0; i < batch->count; i++) batch_product(&region, i);
  } else {
    const size_t even = maximum(1, batch->count / (4 * threads));
    region.per_chunk = maximum(1, minimum(even, ck_gemm_minimum_chunk / maximum(1, work)));
    if (work * batch->count < ck_gemm_minimum_chunk) region.per_chunk = batch->count;
    ck_pool_run(ck_gemm_ceil_div(batch->count, maximum(1, region.per_chunk)), batch_chunk, &region);
  }
  return !region.failed;
}
