// Reverse mode: the gradient of a scalar with respect to an operation's input, from that with respect to its output. Weights
// are constants. Sums in f32; results do not depend on the number of threads.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "ck_attention.h"
#include "ck_gemm.h"

struct ck_isa;

// Rows on three outer axes, each n contiguous floats. Strides in elements.
typedef struct ck_norm_gradient {
  size_t sizes[3], n;
  const float *x, *dy;
  float *dx;
  ptrdiff_t x_strides[3], dy_strides[3], dx_strides[3];
  bool rms;             // as in ck_norm
  float epsilon;
  const float *weight;  // [n], or NULL
  const float *scale;   // rows of n, or NULL: the normalised value was multiplied by 1 + scale
  ptrdiff_t scale_strides[3];
} ck_norm_gradient;

void ck_norm_rows_gradient(const struct ck_isa *isa, const ck_norm_gradient *norm);

// dx[i] = dy[i] * activation'(x[i]); dx may be dy. `activation` is not ck_activation_none.
void ck_activation_gradient(const struct ck_isa *isa, ck_activation activation, const float *x, const float *dy, float *dx,
                            size_t n);

// A tensor [batch, heads, tokens, dim] through strides in elements; its last axis is contiguous.
typedef struct ck_attention_operand {
  float *base;
  ptrdiff_t batch, head, token;
} ck_attention_operand;

typedef struct ck_attention_gradient_keys {
  ck_attention_operand k, v, dk, dv;
  size_t length;
} ck_attention_gradient_keys;

// Backwards through out = softmax(scale * q kᵀ + mask) v of one stream of queries and several of keys (FlashAttention-2,
// arXiv 2307.08691, algorithm 2): blocks of the scores are computed again from the log-sum-exps.
typedef struct ck_attention_gradient_args {
  size_t batch, heads, head_dim, value_dim, queries;
  ck_attention_operand q, out, dout;
  // One gradient of the queries for each split, to be added up: splits * [batch, heads, queries, head_dim].
  ck_attention_operand dq;
  size_t splits;
  ptrdiff_t dq_split;
  const float *lse;  // contiguous [batch, heads, queries]
  const ck_attention_gradient_keys *keys;
  size_t key_segments;
  ck_attention_products products;
  float scale;
  ck_attention_mask mask_kind;
  const void *mask;  // [batch, heads, queries, keys] through these strides
  ptrdiff_t mask_batch, mask_head, mask_query, mask_key;
} ck_attention_gradient_args;

// false: out of memory.
bool ck_attention_gradient(const struct ck_isa *isa, const ck_attention_gradient_args *args);

// The per-set table.
typedef struct ck_gradient_ops {
  void (*norm)(const float *x, const float *dy, float *dx, size_t n, float mean, float factor, bool rms,
               const float *weight, const float *scale);
  void (*gelu_tanh)(const float *x, const float *dy, float *dx, size_t n);
  void (*gelu_erf)(const float *x, const float *dy, float *dx, size_t n);
  void (*silu)(const float *x, const float *dy, float *dx, size_t n);
  void (*quick_gelu)(const float *x, const float *dy, float *dx, size_t n);
  // One split of the keys of one head, on the calling thread.
  bool (*attention)(const ck_attention_gradient_args *args, size_t batch, size_t head, size_t split);
} ck_gradient_ops;
