// Memory bandwidth: one pass over a buffer that no cache holds, shared out between threads.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "CPeak.h"
#include "team.h"

enum { repeats = 5, page = 4096 };  // at least so many

typedef uint64_t lanes __attribute__((vector_size(64)));

typedef struct {
  char *source, *target;
  size_t bytes;
} span_t;

static span_t part(const span_t *whole, size_t member, size_t members) {
  const size_t size = whole->bytes / members / page * page;
  return (span_t){whole->source + member * size, whole->target ? whole->target + member * size : NULL, size};
}

static void touch(void *context, size_t member, size_t members) {
  const span_t span = part(context, member, members);
  memset(span.source, 1, span.bytes);
  if (span.target) memset(span.target, 2, span.bytes);
}

// Wider loads ask for more lines at once; the sums keep the loads from being dropped.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t read_span(const char *source, size_t bytes) {
  lanes sum[4] = {{0}};
  // Four pages side by side keep four of the hardware's prefetchers busy.
  for (size_t block = 0; block + 4 * page <= bytes; block += 4 * page)
    for (size_t i = 0; i < page; i += sizeof(lanes))
      for (int k = 0; k < 4; k++) sum[k] ^= *(const lanes *)(source + block + k * page + i);
  const lanes total = sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
  return total[0];
}

static void read_all(void *context, size_t member, size_t members) {
  const span_t span = part(context, member, members);
  volatile uint64_t kept = read_span(span.source, span.bytes);
  (void)kept;
}

static void copy_all(void *context, size_t member, size_t members) {
  const span_t span = part(context, member, members);
  memcpy(span.target, span.source, span.bytes);
}

static char *allocate(size_t bytes) {
  void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return NULL;
#if defined(MADV_HUGEPAGE)
  madvise(base, bytes, MADV_HUGEPAGE);
#endif
  return base;
}

static double best_rate(size_t threads, span_t span, team_fn pass, size_t bytes_moved, double seconds) {
  double best = 0, spent = 0;
  for (int i = 0; i < repeats || spent < seconds; i++) {
    const double time = team_run(&threads, pass, &span), rate = (double)bytes_moved / time;
    spent += time;
    if (rate > best) best = rate;
  }
  return best;
}

cpeak_bandwidth cpeak_memory(size_t threads, size_t bytes, double seconds) {
  const size_t half = bytes / 2 / page * page;
  char *base = allocate(2 * half);
  if (!base) return (cpeak_bandwidth){0, 0};
  span_t copied = {.source = base, .target = base + half, .bytes = half}, all = {.source = base, .bytes = 2 * half};
  team_run(&threads, touch, &copied);
  const cpeak_bandwidth result = {
    .read = best_rate(threads, all, read_all, 2 * half, seconds),
    .copy = best_rate(threads, copied, copy_all, 2 * half, seconds),
  };
  munmap(base, 2 * half);
  return result;
}
