// The driver of all element-wise operations: blocks of a strided walk over the threads, operands brought into the
// type that is computed in, the result into the type that is wanted. A block never leaves the L1 cache in between.
#include <string.h>

#include "ck_pool.h"
#include "stream.h"
#include "strided.h"

size_t ck_op_operands(ck_op op) { return op < ck_op_add ? 1 : op < ck_op_select ? 2 : 3; }

typedef struct {
  const ck_isa *isa;
  ck_op op;
  ck_type compute;
  size_t inputs, chunk_elements;
  const ck_operand *in, *out;
  bool streams;
  ck_walk walk;  // operand 0 is the output, 1 ... the inputs
} map_call;

// Per thread of execution: what operands look like as `compute`, and their gathered raw form.
// The gaps keep the buffers from lying 4096 bytes apart, where loads wait for stores that only look related.
enum { gap = 24 };
typedef struct {
  double operand[ck_max_operands][ck_block + gap], raw[ck_block + gap], result[ck_block];
  bool constant[ck_max_operands];  // operand[i] holds a broadcast scalar already
} map_buffers;

static bool is_scalar(const ck_walk *walk, size_t operand) {
  for (size_t axis = 0; axis < walk->rank; axis++)
    if (walk->strides[operand][axis] != 0) return false;
  return true;
}

static void apply(const map_call *call, const void *const *inputs, void *output, size_t n) {
  const ck_elementwise_ops *ops = call->isa->elementwise;
  if (call->compute == ck_type_f32) ops->f32[call->op]((const float *const *)inputs, output, n);
  else if (call->compute == ck_type_f64) ops->f64[call->op]((const double *const *)inputs, output, n);
  else ops->i64[call->op]((const int64_t *const *)inputs, output, n);
}

static const void *read_input(const map_call *call, size_t i, size_t start, size_t n, map_buffers *buffers) {
  if (buffers->constant[i]) return buffers->operand[i];
  const bool scalar = is_scalar(&call->walk, i + 1) && call->walk.count > 1;
  const size_t wanted = scalar ? ck_block : n;
  if (scalar) {
    // Any ck_block elements of a broadcast scalar are the same: fill the buffer once.
    ck_walk line = {.rank = 1, .operands = 1, .count = ck_block, .sizes = {ck_block}};
    ck_walk_read(call->isa, &line, 0, call->in[i].data, call->in[i].type, call->compute, 0, wanted,
                 buffers->operand[i], buffers->raw);
    buffers->constant[i] = true;
    return buffers->operand[i];
  }
  return ck_walk_read(call->isa, &call->walk, i + 1, call->in[i].data, call->in[i].type, call->compute, start, n,
                      buffers->operand[i], buffers->raw);
}

static void write_output(const map_call *call, size_t start, size_t n, const void *values, map_buffers *buffers) {
  void *data = (void *)call->out->data;
  const ck_type type = call->out->type;
  const size_t size = ck_type_size(type);
  void *direct = call->streams ? ck_walk_direct(&call->walk, 0, data, size, start, n) : NULL;
  if (!direct) {
    ck_walk_write(call->isa, &call->walk, 0, data, type, call->compute, start, n, values, buffers->raw);
    return;
  }
  if (type != call->compute) {
    ck_convert_block(call->isa, call->compute, values, type, buffers->raw, n);
    values = buffers->raw;
  }
  call->isa->convert->stream(direct, values, n * size);
}

static void map_chunk(void *context, size_t chunk) {
  const map_call *call = context;
  const ck_walk *walk = &call->walk;
  map_buffers buffers;
  memset(buffers.constant, 0, sizeof buffers.constant);
  const bool in_place = !call->streams && call->out->type == call->compute;
  size_t start = chunk * call->chunk_elements;
  const size_t end = walk->count - start < call->chunk_elements ? walk->count : start + call->chunk_elements;
  while (start < end) {
    const size_t n = ck_walk_block(walk, start, end);
    const void *inputs[ck_max_operands] = {NULL};
    for (size_t i = 0; i < call->inputs; i++) inputs[i] = read_input(call, i, start, n, &buffers);
    void *data = (void *)call->out->data;
    void *output = in_place ? ck_walk_direct(walk, 0, data, ck_type_size(call->compute), start, n) : NULL;
    apply(call, inputs, output ? output : buffers.result, n);
    if (!output) write_output(call, start, n, buffers.result, &buffers);
    start += n;
  }
  if (call->streams) ck_stream_end();
}

void ck_map(const ck_isa *isa, ck_op op, ck_type compute, size_t rank, const size_t *sizes, const ck_operand *in,
            const ck_operand *out) {
  map_call call = {.isa = isa, .op = op, .compute = compute, .inputs = ck_op_operands(op), .in = in, .out = out};
  const ptrdiff_t *strides[ck_max_operands + 1] = {out->strides};
  for (size_t i = 0; i < call.inputs; i++) strides[i + 1] = in[i].strides;
  call.walk = ck_walk_make(rank, sizes, strides, call.inputs + 1);
  if (call.walk.count == 0) return;
  call.streams = ck_streams(call.walk.count * ck_type_size(out->type), NULL, out->data);
  for (size_t i = 0; i < call.inputs; i++) call.streams = call.streams && in[i].data != out->data;
  // Some ten microseconds of work per chunk, and whole rows where a chunk holds several.
  const size_t inner = call.walk.sizes[call.walk.rank - 1], wanted = 1 << 15;
  call.chunk_elements = inner < wanted ? (wanted + inner - 1) / inner * inner : wanted;
  ck_pool_run((call.walk.count + call.chunk_elements - 1) / call.chunk_elements, map_chunk, &call);
}
