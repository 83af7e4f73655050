// The planner of products in tiles of AMX: slabs of rows, chunks of panels; the arithmetic is in gemm_amx.inc.
#include <stdatomic.h>

#include "ck_pool.h"
#include "gemm_plan.h"

// A slab's packed rows may take this many words (32 MB). Of one block of k they share L2 (2 MiB) with a chunk's sums.
enum { max_packed_words = 8 << 20, max_sum_words = 192 << 10, max_slab_rows = 1024 };
// Multiply-adds that are worth handing to another thread; 16 rows take as long as one.
enum { minimum_chunk = 1 << 21 };

typedef struct {
  const ck_gemm_tile_ops *ops;
  const ck_gemm_plan *plan;
} region_t;

static void pack_chunk(void *context, size_t tile) {
  const region_t *region = context;
  region->ops->pack_rows(region->plan, tile);
}
static void product_chunk(void *context, size_t chunk) {
  const region_t *region = context;
  region->ops->chunk(region->plan, chunk);
}

// As for other sets: rows are divided only where columns do not suffice, since every chunk packs its weights anew.
static void partition(ck_gemm_plan *plan) {
  const size_t rows = plan->tiles * ck_gemm_tile_height;
  const size_t work = rows * plan->columns * (plan->depth + 1);
  const size_t wanted = minimum(4 * ck_pool_threads(), work / minimum_chunk + 1);
  plan->panels = ck_gemm_ceil_div(plan->columns, ck_gemm_tile_panel);
  const size_t fitting = maximum(1, max_sum_words / (rows * ck_gemm_tile_panel));
  const size_t limit = minimum(fitting, maximum(1, plan->panels / wanted));
  plan->column_chunks = ck_gemm_ceil_div(plan->panels, limit);
  plan->panels_per_chunk = ck_gemm_ceil_div(plan->panels, plan->column_chunks);
  plan->column_chunks = ck_gemm_ceil_div(plan->panels, plan->panels_per_chunk);
  const size_t pairs = ck_gemm_ceil_div(plan->tiles, 2);
  const size_t parts = plan->column_chunks >= wanted ? 1 : minimum(pairs, ck_gemm_ceil_div(wanted, plan->column_chunks));
  plan->tiles_per_chunk = 2 * ck_gemm_ceil_div(pairs, parts);
  plan->row_chunks = ck_gemm_ceil_div(plan->tiles, plan->tiles_per_chunk);
}

static void run_slab(const ck_gemm_tile_ops *ops, ck_gemm_plan *plan) {
  plan->tiles = ck_gemm_ceil_div(plan->rows, ck_gemm_tile_height);
  partition(plan);
  region_t region = {ops, plan};
  if (plan->rows * plan->depth < ck_gemm_minimum_chunk / 8)
    for (size_t tile = 0; tile < plan->tiles; tile++) ops->pack_rows(plan, tile);
  else
    ck_pool_run(plan->tiles, pack_chunk, &region);
  ck_pool_run(plan->row_chunks * plan->column_chunks, product_chunk, &region);
}

bool ck_gemm_run_tiles(const ck_gemm_tile_ops *ops, ck_gemm_plan *plan, ck_gemm_fill_rows *fill, const void *context) {
  const size_t rows = plan->rows, pair = 2 * ck_gemm_tile_height;
  plan->steps = ck_gemm_ceil_div(plan->depth, ck_gemm_tile_depth);
  plan->step_blocks = maximum(1, ck_gemm_ceil_div(plan->steps, ops->block_tiles));
  const size_t row_words = maximum(1, plan->steps) * (ck_gemm_tile_depth / 2);
  const size_t slab_limit = minimum(max_slab_rows, maximum(pair, max_packed_words / row_words));
  const size_t slabs = ck_gemm_ceil_div(rows, slab_limit);
  const size_t slab_rows = ck_gemm_ceil_div(ck_gemm_ceil_div(rows, slabs), pair) * pair;
  const size_t table_bytes = ck_gemm_ceil_div(slab_rows * sizeof(ck_gemm_row), 64) * 64;
  char *scratch = ck_scratch(ck_scratch_gemm_a, table_bytes + 4 * slab_rows * row_words);
  if (!scratch) return false;
  ck_gemm_row *table = (ck_gemm_row *)(void *)scratch;
  _Atomic bool failed = false;
  plan->row = table;
  plan->packed_a = (uint32_t *)(void *)(scratch + table_bytes);
  plan->failed = &failed;
  for (size_t first = 0; first < rows && !failed; first += slab_rows) {
    plan->rows = minimum(slab_rows, rows - first);
    fill(context, first, plan->rows, table);
    run_slab(ops, plan);
  }
  return !failed;
}
