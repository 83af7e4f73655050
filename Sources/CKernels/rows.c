// Drivers of the row kernels: which row lies where, f32 in between, rows over the threads.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ck_isa.h"
#include "ck_pool.h"
#include "ck_rows.h"
#include "stream.h"

// One row, at index[0 ..< 3] of the outer axes.
typedef void (*row_body)(const ck_isa *isa, const void *context, const float *x, float *y, size_t n,
                         const size_t *index);

typedef struct {
  const ck_isa *isa;
  ck_rows rows;  // with the axes in memory order
  row_body body;
  const void *context;
  size_t total, per_chunk;
  bool streams;
  int axes[3];  // which of the caller's axes each axis of `rows` is
} row_call;

// Elements per chunk: some ten microseconds, several times what a parallel region costs.
enum { chunk_elements = 1 << 15, group_elements = 1024 };

// Short rows that lie one after the other are converted together, up to group_elements at a time.
static size_t rows_together(const ck_rows *rows, size_t available) {
  const ptrdiff_t n = (ptrdiff_t)rows->n;
  if (rows->x_strides[2] != n || rows->y_strides[2] != n || rows->n == 0) return 1;
  const size_t fit = group_elements / rows->n;
  return fit < 1 ? 1 : fit < available ? fit : available;
}

// Floats between the parts of the scratch: not a multiple of 4096 bytes, or loads of one part would wait for stores to
// another that only look like the same address.
static size_t scratch_stride(size_t n) { return (n > group_elements ? n : group_elements) + 144; }

static void run_group(const row_call *call, const size_t *index, size_t count, float *scratch) {
  const ck_rows *rows = &call->rows;
  const size_t n = rows->n;
  ptrdiff_t x_offset = 0, y_offset = 0;
  for (int axis = 0; axis < 3; axis++) {
    x_offset += (ptrdiff_t)index[axis] * rows->x_strides[axis];
    y_offset += (ptrdiff_t)index[axis] * rows->y_strides[axis];
  }
  const size_t stride = scratch_stride(n), y_size = ck_type_size(rows->y_type);
  const char *x = (const char *)rows->x + x_offset * (ptrdiff_t)ck_type_size(rows->x_type);
  char *y = (char *)rows->y + y_offset * (ptrdiff_t)y_size;
  const float *in = (const float *)x;
  const bool direct = rows->y_type == ck_type_f32 && !call->streams;
  float *out = direct ? (float *)y : scratch + stride;
  if (rows->x_type != ck_type_f32) {
    call->isa->convert->to_f32[rows->x_type](x, scratch, count * n);
    in = scratch;
  }
  for (size_t r = 0; r < count; r++) {
    size_t place[3];
    for (int axis = 0; axis < 3; axis++) place[call->axes[axis]] = index[axis] + (axis == 2 ? r : 0);
    call->body(call->isa, call->context, in + r * n, out + r * n, n, place);
  }
  if (direct) return;
  const ck_convert_fn convert = call->isa->convert->from_f32[rows->y_type];
  if (!call->streams) {
    convert(out, y, count * n);
    return;
  }
  if (rows->y_type != ck_type_f32) convert(out, scratch + 2 * stride, count * n);
  call->isa->convert->stream(y, rows->y_type == ck_type_f32 ? out : scratch + 2 * stride, count * n * y_size);
}

static void run_rows(const row_call *call, size_t start, size_t end, float *scratch) {
  const size_t *sizes = call->rows.sizes;
  while (start < end) {
    const size_t index[3] = {start / sizes[2] / sizes[1], start / sizes[2] % sizes[1], start % sizes[2]};
    const size_t left = sizes[2] - index[2], available = end - start < left ? end - start : left;
    const size_t count = rows_together(&call->rows, available);
    run_group(call, index, count, scratch);
    start += count;
  }
}

static void row_chunk(void *context, size_t chunk) {
  const row_call *call = context;
  const size_t start = chunk * call->per_chunk;
  const size_t end = call->total - start < call->per_chunk ? call->total : start + call->per_chunk;
  float *scratch = NULL;
  if (call->streams || call->rows.x_type != ck_type_f32 || call->rows.y_type != ck_type_f32) {
    // Rows read, rows written, and those in the type they are stored in (at most twice as wide).
    scratch = ck_scratch(ck_scratch_rows, 4 * scratch_stride(call->rows.n) * sizeof(float));
    if (!scratch) abort();  // a row that does not fit into memory beside the tensor it came from
  }
  run_rows(call, start, end, scratch);
  if (call->streams) ck_stream_end();
}

// Exchanges two axes when the first lies closer together in memory than the second.
static void order_axes(row_call *call, int outer, int inner) {
  ck_rows *rows = &call->rows;
  if (rows->sizes[outer] == 1 || rows->sizes[inner] == 1 || rows->y_strides[outer] >= rows->y_strides[inner]) return;
#define EXCHANGE(T, list)            \
  do {                               \
    const T kept = list[outer];      \
    list[outer] = list[inner];       \
    list[inner] = kept;              \
  } while (0)
  EXCHANGE(size_t, rows->sizes);
  EXCHANGE(ptrdiff_t, rows->x_strides);
  EXCHANGE(ptrdiff_t, rows->y_strides);
  EXCHANGE(int, call->axes);
#undef EXCHANGE
}

static void for_each_row(const ck_isa *isa, const ck_rows *rows, row_body body, const void *context) {
  const size_t total = rows->sizes[0] * rows->sizes[1] * rows->sizes[2];
  const bool streams = ck_streams(total * rows->n * ck_type_size(rows->y_type), rows->y, rows->x);
  row_call call = {isa, *rows, body, context, total, 1, streams, {0, 1, 2}};
  if (call.total == 0 || rows->n == 0) return;
  order_axes(&call, 1, 2);
  order_axes(&call, 0, 1);
  order_axes(&call, 1, 2);
  call.per_chunk = rows->n < chunk_elements ? chunk_elements / rows->n : 1;
  ck_pool_run((call.total + call.per_chunk - 1) / call.per_chunk, row_chunk, &call);
}

static void softmax_row(const ck_isa *isa, const void *context, const float *x, float *y, size_t n,
                        const size_t *index) {
  (void)index;
  const bool logarithm = *(const bool *)context;
  (logarithm ? isa->rows->log_softmax : isa->rows->softmax)(x, y, n);
}

void ck_softmax(const ck_isa *isa, const ck_rows *rows, bool logarithm) {
  for_each_row(isa, rows, softmax_row, &logarithm);
}

static void normalize_row(const ck_isa *isa, const void *context, const float *x, float *y, size_t n,
                          const size_t *index) {
  const ck_norm *norm = context;
  const ck_row_ops *ops = isa->rows;
  const float mean = norm->rms ? 0.0f : (float)(ops->sum(x, n) / (double)n);
  const double variance = ops->sum_of_squares(x, mean, n) / (double)n;
  const float factor = (float)(1.0 / sqrt(variance + (double)norm->epsilon));
  const float *scale = norm->scale, *shift = norm->shift;
  if (scale) {
    ptrdiff_t offset = 0;
    for (int axis = 0; axis < 3; axis++) offset += (ptrdiff_t)index[axis] * norm->modulation_strides[axis];
    scale += offset;
    shift += offset;
  }
  ops->normalize(x, y, n, mean, factor, norm->weight, norm->bias, scale, shift);
}

void ck_normalize_rows(const ck_isa *isa, const ck_rows *rows, const ck_norm *norm) {
  for_each_row(isa, rows, normalize_row, norm);
}

typedef struct {
  const float *cosine, *sine;
  bool halves;
} rotation;

static void rotate_row(const ck_isa *isa, const void *context, const float *x, float *y, size_t n,
                       const size_t *index) {
  const rotation *r = context;
  const float *cosine = r->cosine + index[2] * n, *sine = r->sine + index[2] * n;
  (r->halves ? isa->rows->rotate_halves : isa->rows->rotate_pairs)(x, y, cosine, sine, n);
}

void ck_rotate(const ck_isa *isa, const ck_rows *rows, const float *cosine, const float *sine, bool halves) {
  const rotation context = {cosine, sine, halves};
  for_each_row(isa, rows, rotate_row, &context);
}
