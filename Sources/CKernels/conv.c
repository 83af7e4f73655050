// Convolution by strips (conv_strips.c), or as an implicit matrix product: weights are A, a gathered panel of the picture is
// B, and C comes out channel by channel, as [batch, channels, ...] wants it. No im2col matrix is ever stored.
#include <stdatomic.h>

#include "ck_pool.h"
#include "gemm_plan.h"

typedef struct {
  const ck_isa *isa;
  const ck_conv_args *args;
  size_t group;
  size_t depth, rows, out_plane;  // per group: k, output channels; and positions per channel
  _Atomic bool *failed;
} group_t;

static void fill_channels(const void *context, size_t first, size_t count, ck_gemm_row *row) {
  const group_t *g = context;
  const ck_conv_args *args = g->args;
  const size_t weight_size = ck_gemm_element_size(args->weight_type);
  for (size_t r = 0; r < count; r++) {
    const size_t channel = g->group * g->rows + first + r;
    row[r] = (ck_gemm_row){
        .a = (const char *)args->weight + channel * g->depth * weight_size,
        .c = (char *)(args->y + channel * g->out_plane),
        .residual = args->residual ? (const char *)(args->residual + channel * g->out_plane) : NULL,
    };
  }
}

static bool is_pointwise(const ck_conv_args *args) {
  for (int d = 0; d < 3; d++)
    if (args->kernel[d] != 1 || args->stride[d] != 1 || args->padding_before[d] != 0 ||
        args->in_size[d] != args->out_size[d])
      return false;
  return true;
}

static bool run_group(const group_t *g) {
  const ck_conv_args *args = g->args;
  const size_t in_plane = args->in_size[0] * args->in_size[1] * args->in_size[2];
  const float *x = args->x + g->group * (args->in_channels / args->groups) * in_plane;
  ck_gemm_plan plan = {
      .rows = g->rows,
      .columns = g->out_plane,
      .depth = g->depth,
      .a_type = args->weight_type,
      .b_type = ck_gemm_f32,
      .c_type = ck_gemm_f32,
      .residual_type = ck_gemm_f32,
      .a_column_stride = (ptrdiff_t)ck_gemm_element_size(args->weight_type),
      .b = (const char *)x,
      .b_row_stride = (ptrdiff_t)(4 * in_plane),
      .b_column_stride = 4,
      .bias = args->bias ? args->bias + g->group * g->rows : NULL,
      .bias_per_row = true,
      .alpha = 1,
      .activation = args->activation,
      .conv = is_pointwise(args) ? NULL : args,
      .conv_x = x,
      .conv_taps = args->kernel[0] * args->kernel[1] * args->kernel[2],
      .pictures = args->batch,
      .b_picture_stride = 4 * args->in_channels * in_plane,
      .c_picture_stride = 4 * args->out_channels * g->out_plane,
  };
  return ck_gemm_run(g->isa->gemm, &plan, fill_channels, g);
}

static void group_chunk(void *context, size_t index) {
  group_t g = *(const group_t *)context;
  g.group = index;
  if (!run_group(&g)) *g.failed = true;
}

// The way by strips, or NULL for the way of products: strips want neighbouring outputs to see neighbouring positions, all
// channels, and outputs enough for their vectors.
static const ck_conv_strip_ops *strips(const ck_isa *isa, const ck_conv_args *args) {
  const bool dense = args->stride[0] == 1 && args->stride[1] == 1 && args->stride[2] == 1;
  if (!dense || args->groups != 1 || args->in_channels == 0) return NULL;
  const ck_conv_strip_ops *rounding = args->may_round && args->weight_type == ck_gemm_bf16 ? isa->gemm->conv_bf16 : NULL;
  const ck_conv_strip_ops *ops = rounding ? rounding : is_pointwise(args) ? NULL : isa->gemm->conv_f32;
  return ops && args->out_channels >= ops->least_outputs ? ops : NULL;
}

bool ck_conv(const ck_isa *isa, const ck_conv_args *args) {
  _Atomic bool failed = false;
  const size_t taps = args->kernel[0] * args->kernel[1] * args->kernel[2];
  group_t g = {
      .isa = isa,
      .args = args,
      .depth = args->in_channels / args->groups * taps,
      .rows = args->out_channels / args->groups,
      .out_plane = args->out_size[0] * args->out_size[1] * args->out_size[2],
      .failed = &failed,
  };
  if (args->batch == 0 || g.rows == 0 || g.out_plane == 0) return true;
  const ck_conv_strip_ops *ops = strips(isa, args);
  if (ops) return ck_conv_run_strips(ops, args);
  // Many groups (depthwise) are small: each goes whole to a thread.
  if (args->groups >= 2 * ck_pool_threads()) {
    ck_pool_run(args->groups, group_chunk, &g);
  } else {
    for (size_t group = 0; group < args->groups; group++) group_chunk(&g, group);
  }
  return !failed;
}
