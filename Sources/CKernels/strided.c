// One walk over a strided shape (see strided.h). Blocks of long rows are used where they lie; short rows are gathered.
#include "strided.h"

#include <string.h>

ck_walk ck_walk_make(size_t rank, const size_t *sizes, const ptrdiff_t *const *strides, size_t operands) {
  ck_walk walk = {.operands = operands, .count = 1};
  for (size_t axis = 0; axis < rank; axis++) {
    walk.count *= sizes[axis];
    if (sizes[axis] == 1) continue;
    bool merges = walk.rank > 0;
    for (size_t o = 0; o < operands && merges; o++)
      merges = walk.strides[o][walk.rank - 1] == strides[o][axis] * (ptrdiff_t)sizes[axis];
    if (!merges) walk.sizes[walk.rank++] = 1;
    walk.sizes[walk.rank - 1] *= sizes[axis];
    for (size_t o = 0; o < operands; o++) walk.strides[o][walk.rank - 1] = strides[o][axis];
  }
  if (walk.rank == 0) walk.sizes[walk.rank++] = 1;
  for (size_t o = 0; o < operands; o++) {
    ptrdiff_t expected = 1;
    walk.packed[o] = true;
    for (size_t axis = walk.rank; axis-- > 0;) {
      if (walk.sizes[axis] != 1 && walk.strides[o][axis] != expected) walk.packed[o] = false;
      expected *= (ptrdiff_t)walk.sizes[axis];
    }
  }
  return walk;
}

// Rows at least this long are cut into blocks of their own, shorter ones share a block.
enum { long_row = 256 };

size_t ck_walk_block(const ck_walk *walk, size_t start, size_t end) {
  const size_t inner = walk->sizes[walk->rank - 1];
  size_t n = end - start < ck_block ? end - start : ck_block;
  if (inner >= long_row && inner - start % inner < n) n = inner - start % inner;
  return n;
}

typedef struct {
  size_t index[ck_max_rank];
  ptrdiff_t offset;
} position;

static position seek(const ck_walk *walk, size_t operand, size_t start) {
  position p = {.offset = 0};
  for (size_t axis = walk->rank; axis-- > 0;) {
    p.index[axis] = start % walk->sizes[axis];
    start /= walk->sizes[axis];
    p.offset += (ptrdiff_t)p.index[axis] * walk->strides[operand][axis];
  }
  return p;
}

// Moves `by` elements along the innermost axis, at most to its end, and on to the next row there.
static void step(const ck_walk *walk, size_t operand, position *p, size_t by) {
  size_t axis = walk->rank - 1;
  p->index[axis] += by;
  p->offset += (ptrdiff_t)by * walk->strides[operand][axis];
  while (p->index[axis] == walk->sizes[axis] && axis > 0) {
    p->offset -= (ptrdiff_t)p->index[axis] * walk->strides[operand][axis];
    p->index[axis--] = 0;
    p->index[axis]++;
    p->offset += walk->strides[operand][axis];
  }
}

#define COPY_RUN(word)                                                                          \
  for (size_t i = 0; i < n; i++) {                                                              \
    word v;                                                                                     \
    memcpy(&v, from + (ptrdiff_t)i * from_step * (ptrdiff_t)sizeof v, sizeof v);                \
    memcpy(to + (ptrdiff_t)i * to_step * (ptrdiff_t)sizeof v, &v, sizeof v);                    \
  }

static void copy_run(size_t size, const char *from, ptrdiff_t from_step, char *to, ptrdiff_t to_step, size_t n) {
  switch (size) {
    case 1: COPY_RUN(uint8_t) break;
    case 2: COPY_RUN(uint16_t) break;
    case 4: COPY_RUN(uint32_t) break;
    default: COPY_RUN(uint64_t) break;
  }
}

void *ck_walk_direct(const ck_walk *walk, size_t operand, void *data, size_t size, size_t start, size_t n) {
  if (walk->packed[operand]) return (char *)data + start * size;
  const size_t last = walk->rank - 1, inner = walk->sizes[last];
  if (walk->strides[operand][last] != 1 || start % inner + n > inner) return NULL;
  return (char *)data + seek(walk, operand, start).offset * (ptrdiff_t)size;
}

static void gather(const ck_walk *walk, size_t operand, size_t size, const char *data, size_t start, size_t n,
                   char *to) {
  const size_t last = walk->rank - 1;
  const ptrdiff_t inner_step = walk->strides[operand][last];
  position p = seek(walk, operand, start);
  for (size_t done = 0; done < n;) {
    const size_t left = walk->sizes[last] - p.index[last], run = n - done < left ? n - done : left;
    copy_run(size, data + p.offset * (ptrdiff_t)size, inner_step, to + done * size, 1, run);
    done += run;
    step(walk, operand, &p, run);
  }
}

const void *ck_walk_read(const ck_isa *isa, const ck_walk *walk, size_t operand, const void *data, ck_type type,
                         ck_type compute, size_t start, size_t n, void *buffer, void *raw) {
  const size_t size = ck_type_size(type);
  const void *source = ck_walk_direct(walk, operand, (void *)data, size, start, n);
  if (!source) {
    void *target = type == compute ? buffer : raw;
    gather(walk, operand, size, data, start, n, target);
    source = target;
  }
  if (type == compute) return source;
  ck_convert_block(isa, type, source, compute, buffer, n);
  return buffer;
}

void ck_walk_write(const ck_isa *isa, const ck_walk *walk, size_t operand, void *data, ck_type type, ck_type compute,
                   size_t start, size_t n, const void *values, void *raw) {
  const size_t size = ck_type_size(type), last = walk->rank - 1;
  void *direct = ck_walk_direct(walk, operand, data, size, start, n);
  if (type != compute) {
    void *target = direct ? direct : raw;
    ck_convert_block(isa, compute, values, type, target, n);
    values = target;
  }
  if (direct) {
    if (values != direct) memcpy(direct, values, n * size);
    return;
  }
  position p = seek(walk, operand, start);
  for (size_t done = 0; done < n;) {
    const size_t left = walk->sizes[last] - p.index[last], run = n - done < left ? n - done : left;
    copy_run(size, (const char *)values + done * size, 1, (char *)data + p.offset * (ptrdiff_t)size,
             walk->strides[operand][last], run);
    done += run;
    step(walk, operand, &p, run);
  }
}
