// Drivers of the backward kernels: which row lies where, and what goes to which thread.
#include <math.h>
#include <stdatomic.h>

#include "ck_gradient.h"
#include "ck_isa.h"
#include "ck_pool.h"
#include "ck_rows.h"

// Elements per chunk: some ten microseconds, several times what a parallel region costs.
enum { chunk_elements = 1 << 15 };

typedef struct {
  const ck_isa *isa;
  ck_norm_gradient norm;
  size_t total, per_chunk;
} norm_call;

static void exchange(ck_norm_gradient *norm, int a, int b) {
#define EXCHANGE(T, list)     \
  do {                        \
    const T kept = list[a];   \
    list[a] = list[b];        \
    list[b] = kept;           \
  } while (0)
  EXCHANGE(size_t, norm->sizes);
  EXCHANGE(ptrdiff_t, norm->x_strides);
  EXCHANGE(ptrdiff_t, norm->dy_strides);
  EXCHANGE(ptrdiff_t, norm->dx_strides);
  EXCHANGE(ptrdiff_t, norm->scale_strides);
#undef EXCHANGE
}

static ptrdiff_t offset(const size_t *index, const ptrdiff_t *strides) {
  ptrdiff_t sum = 0;
  for (int axis = 0; axis < 3; axis++) sum += (ptrdiff_t)index[axis] * strides[axis];
  return sum;
}

static void norm_chunk(void *context, size_t chunk) {
  const norm_call *call = context;
  const ck_norm_gradient *norm = &call->norm;
  const ck_row_ops *rows = call->isa->rows;
  const size_t start = chunk * call->per_chunk, left = call->total - start;
  const size_t end = start + (left < call->per_chunk ? left : call->per_chunk), n = norm->n;
  for (size_t row = start; row < end; row++) {
    const size_t index[3] = {row / norm->sizes[2] / norm->sizes[1], row / norm->sizes[2] % norm->sizes[1],
                             row % norm->sizes[2]};
    const float *x = norm->x + offset(index, norm->x_strides);
    const float mean = norm->rms ? 0.0f : (float)(rows->sum(x, n) / (double)n);
    const double variance = rows->sum_of_squares(x, mean, n) / (double)n;
    const float factor = (float)(1.0 / sqrt(variance + (double)norm->epsilon));
    call->isa->gradient->norm(x, norm->dy + offset(index, norm->dy_strides), norm->dx + offset(index, norm->dx_strides),
                              n, mean, factor, norm->rms, norm->weight,
                              norm->scale ? norm->scale + offset(index, norm->scale_strides) : NULL);
  }
}

void ck_norm_rows_gradient(const ck_isa *isa, const ck_norm_gradient *norm) {
  norm_call call = {.isa = isa, .norm = *norm, .total = norm->sizes[0] * norm->sizes[1] * norm->sizes[2]};
  if (call.total == 0 || norm->n == 0) return;
  // In the order that the result lies in memory.
  const int pairs[3][2] = {{1, 2}, {0, 1}, {1, 2}};
  for (int i = 0; i < 3; i++) {
    const int outer = pairs[i][0], inner = pairs[i][1];
    if (call.norm.sizes[outer] > 1 && call.norm.sizes[inner] > 1 &&
        call.norm.dx_strides[outer] < call.norm.dx_strides[inner])
      exchange(&call.norm, outer, inner);
  }
  call.per_chunk = norm->n < chunk_elements ? chunk_elements / norm->n : 1;
  ck_pool_run((call.total + call.per_chunk - 1) / call.per_chunk, norm_chunk, &call);
}

typedef struct {
  void (*body)(const float *x, const float *dy, float *dx, size_t n);
  const float *x, *dy;
  float *dx;
  size_t n;
} slope_call;

static void slope_chunk(void *context, size_t chunk) {
  const slope_call *call = context;
  const size_t start = chunk * chunk_elements, left = call->n - start;
  call->body(call->x + start, call->dy + start, call->dx + start, left < chunk_elements ? left : chunk_elements);
}

void ck_activation_gradient(const ck_isa *isa, ck_activation activation, const float *x, const float *dy, float *dx,
                            size_t n) {
  const ck_gradient_ops *ops = isa->gradient;
  slope_call call = {.x = x, .dy = dy, .dx = dx, .n = n};
  switch (activation) {
    case ck_activation_gelu_tanh: call.body = ops->gelu_tanh; break;
    case ck_activation_gelu_erf: call.body = ops->gelu_erf; break;
    case ck_activation_silu: call.body = ops->silu; break;
    case ck_activation_quick_gelu: call.body = ops->quick_gelu; break;
    case ck_activation_none: return;
  }
  ck_pool_run((n + chunk_elements - 1) / chunk_elements, slope_chunk, &call);
}

typedef struct {
  const ck_isa *isa;
  const ck_attention_gradient_args *args;
  atomic_bool failed;
} attention_call;

static void attention_chunk(void *context, size_t chunk) {
  attention_call *call = context;
  const ck_attention_gradient_args *args = call->args;
  const size_t split = chunk % args->splits, place = chunk / args->splits;
  if (!call->isa->gradient->attention(args, place / args->heads, place % args->heads, split))
    atomic_store(&call->failed, true);
}

bool ck_attention_gradient(const ck_isa *isa, const ck_attention_gradient_args *args) {
  attention_call call = {.isa = isa, .args = args};
  if (args->queries > 0) ck_pool_run(args->batch * args->heads * args->splits, attention_chunk, &call);
  return !atomic_load(&call.failed);
}
