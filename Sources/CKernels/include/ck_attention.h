// Scaled dot-product attention with an online softmax: softmax(scale * q kᵀ + mask) v, without the score matrix in
// memory (Milakov & Gimelshein, arXiv 1805.02867; FlashAttention-2, arXiv 2307.08691).
//
// Queries and keys come in segments, which stand for their concatenation along the token axis: text and image tokens
// need not be copied together. A row's result does not depend, to the bit, on the number of threads, on the other
// queries of the call, or on where the segments are cut.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ck_isa;

typedef enum ck_attention_type { ck_attention_f32, ck_attention_bf16, ck_attention_f16 } ck_attention_type;

// How products are formed; sums are f32 always.
typedef enum ck_attention_products {
  ck_attention_products_f32,   // operands as they are
  ck_attention_products_bf16,  // operands may be rounded to bf16, and are in sets with vdpbf16ps or tiles
} ck_attention_products;

typedef enum ck_attention_mask {
  ck_attention_mask_none,
  ck_attention_mask_bool,  // one byte per entry, not zero: the query may attend to the key
  ck_attention_mask_f32,   // added to the scaled logits
} ck_attention_mask;

// Strides count elements; the last axis of q, k, v and out is contiguous. A stride of 0 broadcasts.
typedef struct ck_attention_queries {
  const void *q;  // [batch, heads, length, head_dim]
  void *out;      // [batch, heads, length, value_dim]
  float *lse;     // NULL, or the rows' log-sum-exp, contiguous [batch, heads, length]
  size_t length;
  ptrdiff_t q_batch, q_head, q_token;
  ptrdiff_t out_batch, out_head, out_token;
} ck_attention_queries;

// A mask of one segment of keys, [batch, heads, all queries, length] through its strides.
typedef struct ck_attention_segment_mask {
  ck_attention_mask kind;
  const void *mask;
  ptrdiff_t mask_batch, mask_head, mask_query, mask_key;
} ck_attention_segment_mask;

typedef struct ck_attention_keys {
  const void *k;  // [batch, heads, length, head_dim]
  const void *v;  // [batch, heads, length, value_dim]
  size_t length;
  ptrdiff_t k_batch, k_head, k_token;
  ptrdiff_t v_batch, v_head, v_token;
  float factor;  // the segment's scaled logits are multiplied by it before any mask; 1 for nothing to happen
  const ck_attention_segment_mask *masks;
  size_t mask_count;
} ck_attention_keys;

typedef struct ck_attention_args {
  size_t batch, heads, head_dim, value_dim;
  const ck_attention_queries *queries;
  size_t query_segments;
  const ck_attention_keys *keys;
  size_t key_segments;
  ck_attention_type q_type, k_type, v_type, out_type;
  ck_attention_products products;
  float scale;
  bool masks_segments;  // whether any segment of keys has a factor or masks
  bool causal;  // query i sees keys 0 ... i, also where their numbers differ (top-left, as torch's is_causal)
  ck_attention_mask mask_kind;
  const void *mask;  // [batch, heads, queries, keys] through these strides, over the concatenated tokens
  ptrdiff_t mask_batch, mask_head, mask_query, mask_key;
} ck_attention_args;

// The probabilities (or scaled and masked logits) of chosen queries for a range of keys. The softmax runs over all keys.
typedef struct ck_attention_weights_args {
  ck_attention_args attention;  // v, out and lse are not used
  const size_t *rows;           // indices into the concatenated queries
  size_t row_count;
  size_t first_key, key_count;
  bool logits;
  float *out;  // contiguous [batch, heads, row_count, key_count]
} ck_attention_weights_args;

// A query that may attend to nothing gets zeros and a log-sum-exp of -infinity, as in torch.
// Both return false only when memory for the working set is exhausted.
bool ck_attention(const struct ck_isa *isa, const ck_attention_args *args);
bool ck_attention_weights(const struct ck_isa *isa, const ck_attention_weights_args *args);

// The per-set table. Each entry computes `count` query rows of one head on the calling thread.
typedef bool (*ck_attention_rows_fn)(const ck_attention_args *, size_t batch, size_t head, size_t row, size_t count);
typedef bool (*ck_attention_weights_fn)(const ck_attention_weights_args *, size_t batch, size_t head, size_t row,
                                        size_t count);
typedef struct ck_attention_ops {
  ck_attention_rows_fn rows_f32, rows_bf16;  // rows_bf16 and weights_bf16: NULL where the set has no bf16 products
  ck_attention_weights_fn weights_f32, weights_bf16;
} ck_attention_ops;
