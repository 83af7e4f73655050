// The planner of convolutions by strips: strips of the result for the pool; the arithmetic is in conv_strip.inc.
#include <stdatomic.h>

#include "ck_pool.h"
#include "gemm_plan.h"
#include "stream.h"

// A strip's positions at most, and at least before outputs are divided; its longest row; and the bytes of the picture that
// are converted for it at a time: together with the sums they share L2, while weights are read once per strip.
enum { strip_positions = 512, least_positions = 128, strip_columns = 64, strip_bytes = 512 << 10 };
enum { chunks_per_thread = 4, line_bytes = 4 * ck_conv_line };

typedef struct {
  const ck_conv_strip_ops *ops;
  const ck_conv_strip_plan *plan;
} region_t;

static void pack_chunk(void *context, size_t index) {
  const region_t *region = context;
  region->ops->pack_weights(region->plan, index);
}
static void product_chunk(void *context, size_t index) {
  const region_t *region = context;
  region->ops->chunk(region->plan, index);
}

static size_t result_bytes(const ck_conv_args *args) {
  return args->batch * args->out_channels * args->out_size[0] * args->out_size[1] * args->out_size[2] * sizeof(float);
}

static size_t span(const ck_conv_args *args, int axis) { return (args->kernel[axis] - 1) * args->dilation[axis]; }

// Strips as large as the caches like, but enough of them to keep the threads even; where the picture is too small for that,
// each strip's outputs are divided, and each part converts the strip anew.
static void partition(const ck_conv_args *args, ck_conv_strip_plan *plan) {
  const size_t *size = args->out_size;
  plan->across = ck_gemm_ceil_div(size[2], strip_columns);
  plan->columns = ck_gemm_ceil_div(size[2], plan->across);
  plan->across = ck_gemm_ceil_div(size[2], plan->columns);
  const size_t wanted = chunks_per_thread * ck_pool_threads(), whole = args->batch * size[0] * plan->across;
  const size_t fitting = maximum(1, strip_positions / plan->columns), least = ck_gemm_ceil_div(least_positions, plan->columns);
  const size_t even = maximum(size[1] * whole / wanted, least);
  plan->down = ck_gemm_ceil_div(size[1], minimum(fitting, even));
  plan->rows = ck_gemm_ceil_div(size[1], plan->down);
  plan->down = ck_gemm_ceil_div(size[1], plan->rows);
  const size_t parts = minimum(plan->output_groups, ck_gemm_ceil_div(wanted, whole * plan->down));
  plan->part_groups = ck_gemm_ceil_div(plan->output_groups, parts);
  plan->parts = ck_gemm_ceil_div(plan->output_groups, plan->part_groups);
  plan->height = plan->rows + span(args, 1);
  plan->width = plan->columns + span(args, 2);
  plan->tile_bytes = args->kernel[0] * plan->height * plan->width * line_bytes;
}

bool ck_conv_run_strips(const ck_conv_strip_ops *ops, const ck_conv_args *args) {
  _Atomic bool failed = false;
  ck_conv_strip_plan plan = {
      .args = args,
      .taps = args->kernel[0] * args->kernel[1] * args->kernel[2],
      .channel_tiles = ck_gemm_ceil_div(args->in_channels, ops->tile_channels),
      .output_groups = ck_gemm_ceil_div(args->out_channels, ops->group_outputs),
      .streams = ck_streams(result_bytes(args), args->y, args->residual),
      .failed = &failed,
  };
  partition(args, &plan);
  const size_t tap_bytes = ops->group_outputs * line_bytes;
  const size_t fitting = ops->block_weights ? ops->block_weights / (plan.taps * tap_bytes) : strip_bytes / plan.tile_bytes;
  plan.block_tiles = minimum(plan.channel_tiles, maximum(1, fitting));
  const size_t tiles = plan.channel_tiles * plan.output_groups, weight_bytes = tiles * plan.taps * tap_bytes;
  plan.weights = ck_scratch(ck_scratch_gemm_a, weight_bytes + plan.taps * sizeof(ptrdiff_t));
  if (!plan.weights) return false;
  ptrdiff_t *tap = (ptrdiff_t *)(void *)(plan.weights + weight_bytes);
  plan.tap = tap;
  for (size_t z = 0; z < args->kernel[0]; z++)
    for (size_t y = 0; y < args->kernel[1]; y++)
      for (size_t x = 0; x < args->kernel[2]; x++) {
        const size_t position = (z * plan.height + y * args->dilation[1]) * plan.width + x * args->dilation[2];
        *tap++ = (ptrdiff_t)(position * line_bytes);
      }
  region_t region = {ops, &plan};
  ck_pool_run(tiles, pack_chunk, &region);
  ck_pool_run(args->batch * args->out_size[0] * plan.down * plan.across * plan.parts, product_chunk, &region);
  return !failed;
}
