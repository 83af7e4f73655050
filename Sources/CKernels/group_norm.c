// Group norm: one pass over memory for the moments of every group, one to apply them. Moments are taken over fixed
// segments and merged in order (Chan, Golub and LeVeque 1979), so threads do not change the result.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "ck_isa.h"
#include "ck_pool.h"
#include "ck_rows.h"
#include "stream.h"

enum { block = 1024, segment = 1 << 16 };

typedef struct {
  double count, mean, squares;  // squares: sum of (x - mean)^2
} moments;

typedef struct {
  const ck_isa *isa;
  const char *x;
  char *y;
  ck_type x_type, y_type;
  size_t channels, spatial, groups, group_elements, segments;
  const float *weight, *bias;
  float epsilon;
  const ck_group_modulation *modulation;
  bool silu, streams;
  moments *partial;  // [batch * groups][segments]
} group_norm;

static moments merge(moments a, moments b) {
  if (a.count == 0) return b;
  const double count = a.count + b.count, delta = b.mean - a.mean;
  return (moments){count, a.mean + delta * b.count / count,
                   a.squares + b.squares + delta * delta * a.count * b.count / count};
}

static const float *as_floats(const group_norm *g, size_t start, size_t n, float *buffer) {
  const char *x = g->x + start * ck_type_size(g->x_type);
  if (g->x_type == ck_type_f32) return (const float *)x;
  g->isa->convert->to_f32[g->x_type](x, buffer, n);
  return buffer;
}

static void measure(void *context, size_t chunk) {
  const group_norm *g = context;
  const size_t group = chunk / g->segments, first = chunk % g->segments * segment;
  const size_t end = g->group_elements - first < segment ? g->group_elements : first + segment;
  moments total = {0};
  float buffer[block];
  for (size_t i = first; i < end; i += block) {
    const size_t n = end - i < block ? end - i : block;
    const float *x = as_floats(g, group * g->group_elements + i, n, buffer);
    const double mean = g->isa->rows->sum(x, n) / (double)n, rounding = mean - (double)(float)mean;
    const double squares = g->isa->rows->sum_of_squares(x, (float)mean, n) - (double)n * rounding * rounding;
    total = merge(total, (moments){(double)n, mean, squares});
  }
  g->partial[chunk] = total;
}

// How the elements of a channel change: y = (x - mean) * scale + shift.
typedef struct {
  float mean, scale, shift;
} channel_terms;

static channel_terms terms_of(const group_norm *g, size_t plane) {
  const size_t channel = plane % g->channels, per_group = g->channels / g->groups;
  const moments *partial = g->partial + (plane / g->channels * g->groups + channel / per_group) * g->segments;
  moments total = {0};
  for (size_t s = 0; s < g->segments; s++) total = merge(total, partial[s]);
  const double factor = 1.0 / sqrt(total.squares / total.count + (double)g->epsilon);
  return (channel_terms){.mean = (float)total.mean,
                         .scale = (float)(g->weight ? (double)g->weight[channel] * factor : factor),
                         .shift = g->bias ? g->bias[channel] : 0.0f};
}

// Where n results of at most `block` are computed, and how they get to their place from there.
static float *result_place(const group_norm *g, size_t start, float *buffer) {
  return g->y_type == ck_type_f32 && !g->streams ? (float *)g->y + start : buffer;
}

static void put(const group_norm *g, size_t start, size_t n, const float *result) {
  const ck_convert_ops *convert = g->isa->convert;
  const size_t y_size = ck_type_size(g->y_type);
  char *y = g->y + start * y_size;
  if ((const char *)result == y) return;
  if (g->streams && g->y_type == ck_type_f32) {
    convert->stream(y, result, n * y_size);
    return;
  }
  double stored[block];
  convert->from_f32[g->y_type](result, g->streams ? (void *)stored : y, n);
  if (g->streams) convert->stream(y, stored, n * y_size);
}

// One channel of one batch entry.
static void apply(void *context, size_t plane) {
  const group_norm *g = context;
  const channel_terms terms = terms_of(g, plane);
  const ck_row_ops *ops = g->isa->rows;
  float buffer[block], result[block];
  for (size_t i = 0; i < g->spatial; i += block) {
    const size_t n = g->spatial - i < block ? g->spatial - i : block, start = plane * g->spatial + i;
    const float *x = as_floats(g, start, n, buffer);
    float *y = result_place(g, start, result);
    (g->silu ? ops->scale_shift_silu : ops->scale_shift)(x, y, n, terms.mean, terms.scale, terms.shift);
    put(g, start, n, y);
  }
  if (g->streams) ck_stream_end();
}

// The same with a coarser grid. Rows that share a coarse row lie behind each other, so it is spread out once for them.
static void apply_modulated(void *context, size_t plane) {
  const group_norm *g = context;
  const ck_group_modulation *m = g->modulation;
  const channel_terms terms = terms_of(g, plane);
  const size_t coarse_plane = plane * m->coarse_rows * m->coarse_columns;
  float buffer[block], result[block], scale[block], shift[block];
  for (size_t column = 0; column < m->columns; column += block) {
    const size_t n = m->columns - column < block ? m->columns - column : block;
    size_t spread = SIZE_MAX;
    for (size_t row = 0; row < m->rows; row++) {
      if (m->coarse_row[row] != spread) {
        spread = m->coarse_row[row];
        const size_t from = coarse_plane + spread * m->coarse_columns;
        for (size_t i = 0; i < n; i++) {
          const size_t source = from + (column + i) / m->repeat;
          scale[i] = terms.scale * m->scale[source];
          shift[i] = terms.shift * m->scale[source] + m->shift[source];
        }
      }
      const size_t start = plane * g->spatial + row * m->columns + column;
      const float *x = as_floats(g, start, n, buffer);
      float *y = result_place(g, start, result);
      g->isa->rows->modulate(x, y, n, terms.mean, scale, shift, g->silu);
      put(g, start, n, y);
    }
  }
  if (g->streams) ck_stream_end();
}

bool ck_group_norm(const ck_isa *isa, const void *x, ck_type x_type, void *y, ck_type y_type, size_t batch,
                   size_t channels, size_t spatial, size_t groups, float epsilon, const float *weight,
                   const float *bias, const ck_group_modulation *modulation, bool silu) {
  group_norm g = {.isa = isa, .x = x, .y = y, .x_type = x_type, .y_type = y_type, .channels = channels,
                  .spatial = spatial, .groups = groups, .group_elements = channels / groups * spatial,
                  .weight = weight, .bias = bias, .epsilon = epsilon, .modulation = modulation, .silu = silu,
                  .streams = ck_streams(batch * channels * spatial * ck_type_size(y_type), y, x)};
  if (batch == 0 || g.group_elements == 0) return true;
  g.segments = (g.group_elements + segment - 1) / segment;
  g.partial = malloc(batch * groups * g.segments * sizeof *g.partial);
  if (!g.partial) return false;
  ck_pool_run(batch * groups * g.segments, measure, &g);
  ck_pool_run(batch * channels, modulation ? apply_modulated : apply, &g);
  free(g.partial);
  return true;
}
