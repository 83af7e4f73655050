// The planner of convolutions in tiles of AMX: strips of the result for the pool; the arithmetic is in conv_amx.inc.
#include <stdatomic.h>

#include "ck_pool.h"
#include "gemm_plan.h"

// A strip's positions, its longest row, and the bytes of the picture that are converted for it at a time: together with
// the sums they share L2 (2 MiB), while weights are read once per strip.
enum { strip_positions = 512, strip_columns = 128, strip_bytes = 512 << 10 };
enum { chunks_per_thread = 4, position_bytes = 64 };

typedef struct {
  const ck_conv_tile_ops *ops;
  const ck_conv_tile_plan *plan;
} region_t;

static void pack_chunk(void *context, size_t index) {
  const region_t *region = context;
  region->ops->pack_weights(region->plan, index);
}
static void product_chunk(void *context, size_t index) {
  const region_t *region = context;
  region->ops->chunk(region->plan, index);
}

static size_t span(const ck_conv_args *args, int axis) { return (args->kernel[axis] - 1) * args->dilation[axis]; }

static void partition(const ck_conv_args *args, ck_conv_tile_plan *plan) {
  const size_t *size = args->out_size;
  plan->across = ck_gemm_ceil_div(size[2], strip_columns);
  plan->columns = ck_gemm_ceil_div(size[2], plan->across);
  plan->across = ck_gemm_ceil_div(size[2], plan->columns);
  const size_t wanted = chunks_per_thread * ck_pool_threads(), whole = args->batch * size[0] * plan->across;
  const size_t fitting = maximum(1, strip_positions / plan->columns), even = maximum(1, size[1] * whole / wanted);
  plan->down = ck_gemm_ceil_div(size[1], minimum(fitting, even));
  plan->rows = ck_gemm_ceil_div(size[1], plan->down);
  plan->down = ck_gemm_ceil_div(size[1], plan->rows);
  plan->height = plan->rows + span(args, 1);
  plan->width = plan->columns + span(args, 2);
  plan->tile_bytes = args->kernel[0] * plan->height * plan->width * position_bytes;
  plan->block_tiles = minimum(plan->channel_tiles, maximum(1, strip_bytes / plan->tile_bytes));
}

bool ck_conv_run_tiles(const ck_conv_tile_ops *ops, const ck_conv_args *args) {
  _Atomic bool failed = false;
  ck_conv_tile_plan plan = {
      .args = args,
      .taps = args->kernel[0] * args->kernel[1] * args->kernel[2],
      .channel_tiles = ck_gemm_ceil_div(args->in_channels, ck_gemm_tile_depth),
      .out_pairs = ck_gemm_ceil_div(args->out_channels, 2 * ck_gemm_tile_height),
      .failed = &failed,
  };
  partition(args, &plan);
  const size_t tiles = plan.channel_tiles * plan.out_pairs;
  const size_t weight_bytes = tiles * plan.taps * 2 * ck_gemm_tile_height * position_bytes;
  plan.weights = ck_scratch(ck_scratch_gemm_a, weight_bytes + plan.taps * sizeof(ptrdiff_t));
  if (!plan.weights) return false;
  ptrdiff_t *tap = (ptrdiff_t *)(void *)(plan.weights + weight_bytes);
  plan.tap = tap;
  for (size_t z = 0; z < args->kernel[0]; z++)
    for (size_t y = 0; y < args->kernel[1]; y++)
      for (size_t x = 0; x < args->kernel[2]; x++) {
        const size_t position = (z * plan.height + y * args->dilation[1]) * plan.width + x * args->dilation[2];
        *tap++ = (ptrdiff_t)(position * position_bytes);
      }
  region_t region = {ops, &plan};
  ck_pool_run(tiles, pack_chunk, &region);
  ck_pool_run(args->batch * args->out_size[0] * plan.down * plan.across, product_chunk, &region);
  return !failed;
}
