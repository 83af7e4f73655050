// Attention's driver: cuts the query rows of every head into chunks for the pool. The arithmetic is in attention.inc.
#include <stdatomic.h>

#include "attention_shared.h"
#include "ck_isa.h"
#include "ck_pool.h"

// A chunk packs its head's keys and values anew, which costs about as much as 20 query rows.
enum { smallest_chunk = 96, chunks_per_thread = 4 };
// Less arithmetic than this (about 50 µs) is not worth waking a thread for.
static const double serial_products = 1.5e6;

typedef struct {
  const ck_attention_args *attention;
  const ck_attention_weights_args *weights;  // NULL for plain attention
  ck_attention_rows_fn rows_fn;
  ck_attention_weights_fn weights_fn;
  size_t rows, splits;
  atomic_bool failed;
} job_t;

static void run_chunk(void *context, size_t chunk) {
  job_t *job = context;
  const size_t split = chunk % job->splits, head_index = chunk / job->splits;
  const size_t batch = head_index / job->attention->heads, head = head_index % job->attention->heads;
  const size_t first = job->rows * split / job->splits, end = job->rows * (split + 1) / job->splits;
  const size_t count = end - first;
  const bool ok = job->weights ? job->weights_fn(job->weights, batch, head, first, count)
                               : job->rows_fn(job->attention, batch, head, first, count);
  if (!ok) atomic_store(&job->failed, true);
}

static bool run(const ck_isa *isa, job_t *job) {
  const ck_attention_args *args = job->attention;
  const size_t heads = args->batch * args->heads;
  if (heads == 0 || job->rows == 0) return true;
  const ck_attention_ops *ops = isa->attention;
  const bool pairs = ops->rows_bf16 && args->products == ck_attention_products_bf16;
  job->rows_fn = pairs ? ops->rows_bf16 : ops->rows_f32;
  job->weights_fn = pairs ? ops->weights_bf16 : ops->weights_f32;
  const size_t threads = ck_pool_threads();
  const size_t wanted = (chunks_per_thread * threads + heads - 1) / heads;
  const size_t possible = job->rows / smallest_chunk;
  job->splits = wanted < possible ? wanted : possible;
  if (job->splits == 0 || threads == 1) job->splits = 1;
  const double products = (double)heads * (double)job->rows * (double)ck_attention_key_count(args) *
                          (double)(args->head_dim + args->value_dim);
  const size_t chunks = heads * job->splits;
  if (products < serial_products)
    for (size_t chunk = 0; chunk < chunks; chunk++) run_chunk(job, chunk);
  else
    ck_pool_run(chunks, run_chunk, job);
  return !atomic_load(&job->failed);
}

bool ck_attention(const ck_isa *isa, const ck_attention_args *args) {
  job_t job = {.attention = args, .rows = ck_attention_query_count(args)};
  return run(isa, &job);
}

bool ck_attention_weights(const ck_isa *isa, const ck_attention_weights_args *args) {
  job_t job = {.attention = &args->attention, .weights = args, .rows = args->row_count};
  return run(isa, &job);
}
