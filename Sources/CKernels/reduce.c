// Reductions over the last axes of a strided view. Two ways to walk, by which neighbours lie together in memory:
//   rows:    one output at a time, blocks of its reduced elements, cut into fixed segments that are merged in order;
//   columns: a block of outputs at a time, one reduced element of each after the other.
// Neither depends on the number of threads. Sums are kept in double.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ck_pool.h"
#include "ck_rows.h"
#include "strided.h"

typedef union {
  double f;
  int64_t i;
} value;

// What has been seen of one output: its value (the mean, for a variance) and the sum of squared deviations or the
// index of an extreme.
typedef struct {
  value *values;
  double *seconds;
} cells;

typedef struct {
  const ck_isa *isa;
  ck_reduction reduction;
  ck_type compute, type;
  const char *x;
  ck_walk kept, reduced;  // of one operand each
  size_t segment, segments;
  cells partial;  // rows: [output][segment]; columns: [segment][output]
  double correction;
  char *y;
} reduce_call;

static void start_cells(ck_reduction reduction, ck_type compute, cells c, size_t n) {
  const int64_t initial = reduction == ck_reduce_product || reduction == ck_reduce_all;
  for (size_t j = 0; j < n; j++) {
    if (compute == ck_type_i64) c.values[j].i = initial;
    else c.values[j].f = (double)initial;
    c.seconds[j] = 0;
  }
}

// One more element for each of n cells; `position` is its index among the reduced elements.
#define EACH(statement)            \
  for (size_t j = 0; j < n; j++) { \
    v = x[j];                      \
    statement;                     \
  }                                \
  break;
#define TAKE_IF(condition)       \
  if (first || (condition)) {    \
    c.values[j].FIELD = v;       \
    c.seconds[j] = (double)position; \
  }
#define NEW_NAN (v != v && c.values[j].FIELD == c.values[j].FIELD)
#define ACCUMULATE(name, T, wide)                                                                              \
  static void name(ck_reduction reduction, cells c, const T *x, size_t n, size_t position, bool first) {       \
    wide v;                                                                                                    \
    switch (reduction) {                                                                                       \
      case ck_reduce_sum:                                                                                      \
      case ck_reduce_mean: EACH(c.values[j].FIELD = PLUS(c.values[j].FIELD, v))                                                        \
      case ck_reduce_product: EACH(c.values[j].FIELD = TIMES(c.values[j].FIELD, v))                                                     \
      case ck_reduce_min:                                                                                      \
      case ck_reduce_argmin: EACH(TAKE_IF(v < c.values[j].FIELD || NEW_NAN))                                   \
      case ck_reduce_max:                                                                                      \
      case ck_reduce_argmax: EACH(TAKE_IF(v > c.values[j].FIELD || NEW_NAN))                                   \
      case ck_reduce_variance:                                                                                 \
        EACH(const double delta = (double)v - c.values[j].f;                                                   \
             c.values[j].f += delta / (double)(position + 1);                                                  \
             c.seconds[j] += delta * ((double)v - c.values[j].f))                                              \
      case ck_reduce_all: EACH(c.values[j].FIELD = c.values[j].FIELD != 0 && v != 0)                           \
      case ck_reduce_any: EACH(c.values[j].FIELD = c.values[j].FIELD != 0 || v != 0)                           \
    }                                                                                                          \
  }
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wtautological-compare"
#define FIELD f
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
ACCUMULATE(accumulate_f32, float, double)
ACCUMULATE(accumulate_f64, double, double)
#undef FIELD
#undef PLUS
#undef TIMES
// Sums and products of integers wrap around, which C defines for unsigned ones only.
#define FIELD i
#define PLUS(a, b) (int64_t)((uint64_t)(a) + (uint64_t)(b))
#define TIMES(a, b) (int64_t)((uint64_t)(a) * (uint64_t)(b))
ACCUMULATE(accumulate_i64, int64_t, int64_t)
#pragma clang diagnostic pop

static void accumulate_columns(const reduce_call *call, cells c, const void *x, size_t n, size_t position, bool first) {
  const bool sums = call->reduction == ck_reduce_sum || call->reduction == ck_reduce_mean;
  if (call->compute == ck_type_f32 && sums) call->isa->rows->add_to(&c.values->f, x, n);
  else if (call->compute == ck_type_f32) accumulate_f32(call->reduction, c, x, n, position, first);
  else if (call->compute == ck_type_f64) accumulate_f64(call->reduction, c, x, n, position, first);
  else accumulate_i64(call->reduction, c, x, n, position, first);
}

// Merges `from`, which saw `from_count` elements after the `count` of `into`.
static void merge(ck_reduction reduction, ck_type compute, cells into, double count, cells from, double from_count) {
  const value b = *from.values;
  const double second = *from.seconds;
  if (reduction == ck_reduce_variance) {
    const double delta = b.f - into.values->f, total = count + from_count;
    into.values->f += delta * from_count / total;
    *into.seconds += second + delta * delta * count * from_count / total;
    return;
  }
  const double before = *into.seconds;
  const value a = *into.values;
  if (compute == ck_type_i64) accumulate_i64(reduction, into, &b.i, 1, 0, count == 0);
  else accumulate_f64(reduction, into, &b.f, 1, 0, count == 0);
  // An extreme that was taken over keeps the index it was found at.
  const bool taken = count == 0 || memcmp(&a, into.values, sizeof a) != 0;
  *into.seconds = taken ? second : before;
}

static void block_moments(const ck_row_ops *ops, const float *x, size_t n, value *mean, double *squares) {
  mean->f = ops->sum(x, n) / (double)n;
  const double rounding = mean->f - (double)(float)mean->f;
  *squares = ops->sum_of_squares(x, (float)mean->f, n) - (double)n * rounding * rounding;
}

// One more block of n elements for a single cell, the first of them at `position`.
static void accumulate_row(const reduce_call *call, cells c, const void *x, size_t n, size_t position, size_t seen) {
  const ck_reduction reduction = call->reduction;
  const size_t size = ck_type_size(call->compute);
  const bool general = call->compute != ck_type_f32 || reduction == ck_reduce_product ||
                       reduction == ck_reduce_all || reduction == ck_reduce_any;
  if (general) {
    // Variances count from the segment's first element, indices from the first of all.
    const size_t base = reduction == ck_reduce_variance ? seen : position;
    for (size_t i = 0; i < n; i++)
      accumulate_columns(call, c, (const char *)x + i * size, 1, base + i, seen + i == 0);
    return;
  }
  const ck_row_ops *ops = call->isa->rows;
  const float *row = x;
  value found = {0};
  double second = 0;
  if (reduction == ck_reduce_sum || reduction == ck_reduce_mean) {
    c.values->f += ops->sum(row, n);
    return;
  }
  if (reduction == ck_reduce_variance) {
    block_moments(ops, row, n, &found, &second);
  } else {
    const bool largest = reduction == ck_reduce_max || reduction == ck_reduce_argmax;
    const float best = largest ? ops->largest(row, n) : ops->smallest(row, n);
    found.f = (double)best;
    const double so_far = c.values->f;
    const bool worse = seen > 0 && !(largest ? found.f > so_far : found.f < so_far) && found.f == found.f;
    if (!worse && (reduction == ck_reduce_argmax || reduction == ck_reduce_argmin)) {
      size_t i = 0;
      while (row[i] != best && row[i] == row[i]) i++;
      second = (double)(position + i);
    }
  }
  merge(reduction, call->compute, c, (double)seen, (cells){&found, &second}, (double)n);
}

static ptrdiff_t offset_of(const ck_walk *walk, size_t index) {
  ptrdiff_t offset = 0;
  for (size_t axis = walk->rank; axis-- > 0;) {
    offset += (ptrdiff_t)(index % walk->sizes[axis]) * walk->strides[0][axis];
    index /= walk->sizes[axis];
  }
  return offset;
}

static const char *element(const reduce_call *call, ptrdiff_t offset) {
  return call->x + offset * (ptrdiff_t)ck_type_size(call->type);
}

typedef struct {
  double operand[ck_block], raw[ck_block];
} buffers;

static void reduce_segment(const reduce_call *call, size_t output, size_t segment, cells c, buffers *b) {
  const char *x = element(call, offset_of(&call->kept, output));
  const size_t first = segment * call->segment, count = call->reduced.count;
  const size_t end = count - first < call->segment ? count : first + call->segment;
  start_cells(call->reduction, call->compute, c, 1);
  for (size_t i = first; i < end;) {
    const size_t n = ck_walk_block(&call->reduced, i, end);
    const void *block =
        ck_walk_read(call->isa, &call->reduced, 0, x, call->type, call->compute, i, n, b->operand, b->raw);
    accumulate_row(call, c, block, n, i, i - first);
    i += n;
  }
}

static void store(const reduce_call *call, size_t output, value v, double second) {
  const double count = (double)call->reduced.count;
  switch (call->reduction) {
    case ck_reduce_argmin:
    case ck_reduce_argmax: ((int64_t *)call->y)[output] = (int64_t)second; return;
    case ck_reduce_all:
    case ck_reduce_any: ((uint8_t *)call->y)[output] = call->compute == ck_type_i64 ? v.i != 0 : v.f != 0; return;
    case ck_reduce_mean: v.f /= count; break;
    case ck_reduce_variance:
      v.f = second / (count > call->correction ? count - call->correction : 0.0);
      break;
    default: break;
  }
  if (call->compute == ck_type_f32) ((float *)call->y)[output] = (float)v.f;
  else if (call->compute == ck_type_f64) ((double *)call->y)[output] = v.f;
  else ((int64_t *)call->y)[output] = v.i;
}

// Several outputs that fit one segment each.
enum { outputs_per_chunk = 64 };

static void short_rows(void *context, size_t chunk) {
  const reduce_call *call = context;
  const size_t per_chunk = call->segments;  // here: outputs per chunk
  const size_t start = chunk * per_chunk;
  const size_t end = call->kept.count - start < per_chunk ? call->kept.count : start + per_chunk;
  buffers b;
  for (size_t output = start; output < end; output++) {
    value v;
    double second;
    reduce_segment(call, output, 0, (cells){&v, &second}, &b);
    store(call, output, v, second);
  }
}

static void row_segment(void *context, size_t chunk) {
  const reduce_call *call = context;
  buffers b;
  const cells c = {call->partial.values + chunk, call->partial.seconds + chunk};
  reduce_segment(call, chunk / call->segments, chunk % call->segments, c, &b);
}

static void column_segment(void *context, size_t chunk) {
  const reduce_call *call = context;
  const size_t outputs = call->kept.count, blocks = (outputs + ck_block - 1) / ck_block;
  const size_t segment = chunk / blocks, start = chunk % blocks * ck_block;
  const size_t n = outputs - start < ck_block ? outputs - start : ck_block;
  const size_t first = segment * call->segment, count = call->reduced.count;
  const size_t end = count - first < call->segment ? count : first + call->segment;
  const cells c = {call->partial.values + segment * outputs + start, call->partial.seconds + segment * outputs + start};
  start_cells(call->reduction, call->compute, c, n);
  buffers b;
  for (size_t i = first; i < end; i++) {
    const char *x = element(call, offset_of(&call->reduced, i));
    for (size_t done = 0; done < n;) {
      const size_t part = ck_walk_block(&call->kept, start + done, start + n);
      const void *block = ck_walk_read(call->isa, &call->kept, 0, x, call->type, call->compute, start + done, part,
                                       b.operand, b.raw);
      const size_t position = call->reduction == ck_reduce_variance ? i - first : i;
      accumulate_columns(call, (cells){c.values + done, c.seconds + done}, block, part, position, i == first);
      done += part;
    }
  }
}

// Merges every output's segments, in order, and writes it.
static void finish(const reduce_call *call, size_t output_step, size_t segment_step) {
  const double total = (double)call->reduced.count, length = (double)call->segment;
  for (size_t output = 0; output < call->kept.count; output++) {
    value v = call->partial.values[output * output_step];
    double second = call->partial.seconds[output * output_step], seen = length < total ? length : total;
    for (size_t s = 1; s < call->segments; s++) {
      const size_t at = output * output_step + s * segment_step;
      const double more = total - seen < length ? total - seen : length;
      merge(call->reduction, call->compute, (cells){&v, &second}, seen,
            (cells){call->partial.values + at, call->partial.seconds + at}, more);
      seen += more;
    }
    store(call, output, v, second);
  }
}

static bool with_partials(reduce_call *call, size_t chunks, ck_chunk_fn fn, size_t output_step, size_t segment_step) {
  const size_t count = call->kept.count * call->segments;
  call->partial.values = malloc(count * sizeof(value));
  call->partial.seconds = malloc(count * sizeof(double));
  const bool enough = call->partial.values && call->partial.seconds;
  if (enough) {
    ck_pool_run(chunks, fn, call);
    finish(call, output_step, segment_step);
  }
  free(call->partial.values);
  free(call->partial.seconds);
  return enough;
}

static bool reduce_columns(reduce_call *call) {
  const size_t count = call->reduced.count, blocks = (call->kept.count + ck_block - 1) / ck_block;
  // Enough chunks to share out, whatever the number of threads is.
  const size_t wanted = blocks >= 16 ? 1 : (16 + blocks - 1) / blocks;
  call->segment = (count + wanted - 1) / wanted;
  if (call->segment < 16) call->segment = 16;
  call->segments = (count + call->segment - 1) / call->segment;
  return with_partials(call, blocks * call->segments, column_segment, 1, call->kept.count);
}

static bool reduce_rows(reduce_call *call) {
  const size_t count = call->reduced.count, outputs = call->kept.count;
  call->segment = 1 << 15;
  if (count > call->segment) {
    call->segments = (count + call->segment - 1) / call->segment;
    return with_partials(call, outputs * call->segments, row_segment, call->segments, 1);
  }
  const size_t per_chunk = count == 0 ? outputs : call->segment / count;
  call->segments = per_chunk < outputs_per_chunk ? outputs_per_chunk : per_chunk;
  ck_pool_run((outputs + call->segments - 1) / call->segments, short_rows, call);
  return true;
}

bool ck_reduce(const ck_isa *isa, ck_reduction reduction, ck_type compute, const void *x, ck_type type, size_t rank,
               size_t reduced, const size_t *sizes, const ptrdiff_t *strides, double correction, void *y) {
  const size_t kept = rank - reduced;
  const ptrdiff_t *const kept_strides[] = {strides}, *const reduced_strides[] = {strides + kept};
  reduce_call call = {.isa = isa, .reduction = reduction, .compute = compute, .type = type, .x = x, .y = y,
                      .correction = correction, .kept = ck_walk_make(kept, sizes, kept_strides, 1),
                      .reduced = ck_walk_make(reduced, sizes + kept, reduced_strides, 1)};
  if (call.kept.count == 0) return true;
  const ptrdiff_t kept_step = labs(call.kept.strides[0][call.kept.rank - 1]);
  const ptrdiff_t reduced_step = labs(call.reduced.strides[0][call.reduced.rank - 1]);
  const bool columns = call.kept.count >= 8 && call.reduced.count > 1 && kept_step < reduced_step;
  return columns ? reduce_columns(&call) : reduce_rows(&call);
}
