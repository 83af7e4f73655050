// Any type to any type: one table function where both ends meet in one arithmetic type, otherwise two with a block
// in between that stays in the L1 cache.
#include "ck_convert.h"

#include <stdbool.h>
#include <string.h>

#include "ck_isa.h"
#include "ck_pool.h"
#include "stream.h"

static const uint8_t sizes[ck_type_count] = {
    [ck_type_bool] = 1, [ck_type_u8] = 1,  [ck_type_i8] = 1,        [ck_type_u16] = 2,     [ck_type_i16] = 2,
    [ck_type_u32] = 4,  [ck_type_i32] = 4, [ck_type_u64] = 8,       [ck_type_i64] = 8,     [ck_type_f8_e4m3fn] = 1,
    [ck_type_f8_e5m2] = 1, [ck_type_f16] = 2, [ck_type_bf16] = 2,   [ck_type_f32] = 4,     [ck_type_f64] = 8,
};

size_t ck_type_size(ck_type type) { return sizes[type]; }

static bool is_integer(ck_type type) { return type <= ck_type_i64; }

enum { block = 512 };

// from -> middle -> to, a block at a time.
static void through(ck_convert_fn first, size_t from_size, const char *x, ck_convert_fn second, size_t to_size,
                    char *y, size_t n) {
  double middle[block];
  for (size_t i = 0; i < n; i += block) {
    const size_t count = n - i < block ? n - i : block;
    first(x + i * from_size, middle, count);
    second(middle, y + i * to_size, count);
  }
}

void ck_convert_block(const ck_isa *isa, ck_type from, const void *x, ck_type to, void *y, size_t n) {
  const ck_convert_ops *ops = isa->convert;
  const size_t from_size = sizes[from], to_size = sizes[to];
  if (from == to) {
    memmove(y, x, n * from_size);
  } else if (from == ck_type_f32) {
    ops->from_f32[to](x, y, n);
  } else if (to == ck_type_f32) {
    ops->to_f32[from](x, y, n);
  } else if (from == ck_type_f64 && ops->from_f64[to]) {
    ops->from_f64[to](x, y, n);
  } else if (to == ck_type_f64 && ops->to_f64[from]) {
    ops->to_f64[from](x, y, n);
  } else if (is_integer(from) && is_integer(to)) {
    through(ops->to_i64[from], from_size, x, ops->from_i64[to], to_size, y, n);
  } else {
    through(ops->to_f32[from], from_size, x, ops->from_f32[to], to_size, y, n);
  }
}

typedef struct {
  const ck_isa *isa;
  const char *x;
  char *y;
  ck_type from, to;
  size_t n;
} conversion;

// Elements per chunk: some ten microseconds of work, several times what a parallel region costs.
enum { chunk_elements = 1 << 16 };

static void convert_chunk(void *context, size_t chunk) {
  const conversion *c = context;
  const size_t from_size = sizes[c->from], to_size = sizes[c->to];
  size_t start = chunk * chunk_elements;
  const size_t end = c->n - start < chunk_elements ? c->n : start + chunk_elements;
  if (!ck_streams(c->n * to_size, c->y, c->x)) {
    ck_convert_block(c->isa, c->from, c->x + start * from_size, c->to, c->y + start * to_size, end - start);
    return;
  }
  double result[block];
  for (; start < end; start += block) {
    const size_t count = end - start < block ? end - start : block;
    ck_convert_block(c->isa, c->from, c->x + start * from_size, c->to, result, count);
    c->isa->convert->stream(c->y + start * to_size, result, count * to_size);
  }
  ck_stream_end();
}

void ck_convert(const ck_isa *isa, ck_type from, const void *x, ck_type to, void *y, size_t n) {
  if (n <= chunk_elements || x == y) {
    ck_convert_block(isa, from, x, to, y, n);
    return;
  }
  conversion context = {isa, x, y, from, to, n};
  ck_pool_run((n + chunk_elements - 1) / chunk_elements, convert_chunk, &context);
}
