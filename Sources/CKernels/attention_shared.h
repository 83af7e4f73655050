// What the attention bodies and their driver share: addresses of tokens in a sequence made of segments.
#pragma once
#include "ck_attention.h"

static inline size_t ck_attention_type_size(ck_attention_type type) { return type == ck_attention_f32 ? 4 : 2; }

static inline size_t ck_attention_query_count(const ck_attention_args *args) {
  size_t count = 0;
  for (size_t i = 0; i < args->query_segments; i++) count += args->queries[i].length;
  return count;
}

static inline size_t ck_attention_key_count(const ck_attention_args *args) {
  size_t count = 0;
  for (size_t i = 0; i < args->key_segments; i++) count += args->keys[i].length;
  return count;
}

// The segment of a query of the concatenated sequence; *row becomes its index within that segment.
static inline const ck_attention_queries *ck_attention_query(const ck_attention_args *args, size_t *row) {
  const ck_attention_queries *segment = args->queries;
  while (*row >= segment->length) *row -= segment++->length;
  return segment;
}

// The segment of a key of the concatenated sequence; *key becomes its index within that segment.
static inline const ck_attention_keys *ck_attention_key(const ck_attention_args *args, size_t *key) {
  const ck_attention_keys *segment = args->keys;
  while (*key >= segment->length) *key -= segment++->length;
  return segment;
}

static inline const char *ck_attention_element(const void *base, ck_attention_type type, size_t batch,
                                               ptrdiff_t batch_stride, size_t head, ptrdiff_t head_stride,
                                               size_t token, ptrdiff_t token_stride) {
  const ptrdiff_t offset =
      (ptrdiff_t)batch * batch_stride + (ptrdiff_t)head * head_stride + (ptrdiff_t)token * token_stride;
  return (const char *)base + offset * (ptrdiff_t)ck_attention_type_size(type);
}
