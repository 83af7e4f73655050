// Thread pool: chunks claimed from one atomic ticket, bounded spin, then futex (see ck_pool.h).
#define _GNU_SOURCE
#include "ck_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { max_threads = 256 };
// About 50 µs of spinning: long enough to bridge the gap between two regions of a forward pass, short
// enough not to steal the core of somebody else for long.
enum { spin_rounds = 1500 };

typedef struct {
  // (epoch << 32) | next chunk, or a bit for every chunk nobody claimed where `placed`: a late worker can never claim a
  // chunk of a later region.
  _Atomic uint64_t ticket __attribute__((aligned(64)));
  _Atomic uint32_t epoch __attribute__((aligned(64)));
  _Atomic uint32_t sleepers;
  _Atomic uint32_t done __attribute__((aligned(64)));
  _Atomic uint32_t helpers_allowed;
  // What the region is. A late worker may read these while the next region is being written, and then discards what it
  // read: see drain().
  _Atomic size_t chunks;
  _Atomic bool placed;
  _Atomic(ck_chunk_fn) fn;
  _Atomic(void *) context;
} region_t;

static region_t region;
static pthread_mutex_t region_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t workers_started = 0;  // guarded by region_lock
static _Atomic size_t threads_wanted = 0;
static _Thread_local bool inside_region = false;

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
  syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void futex_wake(_Atomic uint32_t *word, int count) {
  syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

// The chunks, as bits, that thread `index` claims first where chunks have their places.
static uint32_t own_chunks(size_t index) {
  const size_t threads = atomic_load_explicit(&region.helpers_allowed, memory_order_acquire);
  uint32_t own = 0;
  for (size_t chunk = index; chunk < ck_pool_most_placed; chunk += threads) own |= 1u << chunk;
  return own;
}

static void drain(uint32_t epoch, size_t index) {
  const uint32_t own = own_chunks(index);
  for (;;) {
    uint64_t ticket = atomic_load_explicit(&region.ticket, memory_order_acquire);
    if ((uint32_t)(ticket >> 32) != epoch) return;
    // Each of these is stored with release after the last region's ticket was closed, and loaded with acquire: whoever
    // reads a later region's value also sees the ticket closed, on CPUs that reorder stores too, and claims nothing.
    const size_t chunks = atomic_load_explicit(&region.chunks, memory_order_acquire);
    const bool placed = atomic_load_explicit(&region.placed, memory_order_acquire);
    const ck_chunk_fn fn = atomic_load_explicit(&region.fn, memory_order_acquire);
    void *const context = atomic_load_explicit(&region.context, memory_order_acquire);
    uint32_t chunk = (uint32_t)ticket;
    uint64_t claimed = ticket + 1;
    if (placed) {
      const uint32_t left = (uint32_t)ticket;
      if (left == 0) return;
      chunk = (uint32_t)__builtin_ctz(left & own ? left & own : left);
      claimed = ticket - (1ull << chunk);
    } else if (chunk >= chunks) {
      return;
    }
    // Succeeds only while this epoch's region is still open, so what was read above belongs to it.
    if (!atomic_compare_exchange_weak(&region.ticket, &ticket, claimed)) continue;
    fn(context, chunk);
    if (atomic_fetch_add_explicit(&region.done, 1, memory_order_acq_rel) + 1 == chunks) futex_wake(&region.done, 1);
  }
}

static void *worker(void *argument) {
  const size_t index = (size_t)argument;  // 1 ..< threads
  inside_region = true;                  // a region started by a chunk runs serially
  uint32_t seen = 0;
  for (;;) {
    uint32_t epoch;
    int rounds = 0;
    while ((epoch = atomic_load_explicit(&region.epoch, memory_order_acquire)) == seen) {
      if (rounds++ < spin_rounds) {
        relax();
      } else {
        atomic_fetch_add(&region.sleepers, 1);
        if (atomic_load(&region.epoch) == seen) futex_wait(&region.epoch, seen);
        atomic_fetch_sub(&region.sleepers, 1);
        rounds = 0;
      }
    }
    seen = epoch;
    if (index < atomic_load_explicit(&region.helpers_allowed, memory_order_acquire)) drain(epoch, index);
  }
  return NULL;
}

static size_t affinity_count(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count < 1 ? 1 : count > max_threads ? max_threads : (size_t)count;
}

size_t ck_pool_threads(void) {
  size_t wanted = atomic_load_explicit(&threads_wanted, memory_order_relaxed);
  if (wanted == 0) {
    wanted = affinity_count();
    atomic_store_explicit(&threads_wanted, wanted, memory_order_relaxed);
  }
  return wanted;
}

void ck_pool_set_threads(size_t threads) {
  atomic_store(&threads_wanted, threads < 1 ? 1 : threads > max_threads ? max_threads : threads);
}

static void run_serially(size_t chunks, ck_chunk_fn fn, void *context) {
  for (size_t chunk = 0; chunk < chunks; chunk++) fn(context, chunk);
}

static void start_workers(size_t threads) {
  while (workers_started + 1 < threads) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 8u << 20);
    const int failed = pthread_create(&thread, &attributes, worker, (void *)(workers_started + 1));
    pthread_attr_destroy(&attributes);
    if (failed) return;  // fewer helpers: the caller claims the chunks itself
    workers_started++;
  }
}

static void run(size_t chunks, bool placed, ck_chunk_fn fn, void *context) {
  const size_t threads = ck_pool_threads();
  if (chunks <= 1 || threads <= 1 || inside_region || chunks > UINT32_MAX ||
      pthread_mutex_trylock(&region_lock) != 0) {
    run_serially(chunks, fn, context);
    return;
  }
  inside_region = true;
  start_workers(threads);
  const uint32_t epoch = atomic_load(&region.epoch) + 1;
  // Close the last region's tickets before the fields change, so that no late worker pairs old and new.
  atomic_store(&region.ticket, ((uint64_t)epoch << 32) | UINT32_MAX);
  atomic_store_explicit(&region.fn, fn, memory_order_release);
  atomic_store_explicit(&region.context, context, memory_order_release);
  atomic_store_explicit(&region.chunks, chunks, memory_order_release);
  atomic_store_explicit(&region.placed, placed, memory_order_release);
  atomic_store(&region.helpers_allowed, (uint32_t)threads);
  atomic_store(&region.done, 0);
  atomic_store(&region.ticket, (uint64_t)epoch << 32 | (placed ? UINT32_MAX >> (ck_pool_most_placed - chunks) : 0));
  atomic_store(&region.epoch, epoch);
  if (atomic_load(&region.sleepers)) futex_wake(&region.epoch, (int)threads);
  drain(epoch, 0);
  uint32_t done;
  int rounds = 0;
  while ((done = atomic_load_explicit(&region.done, memory_order_acquire)) < chunks) {
    if (rounds++ < spin_rounds) relax();
    else futex_wait(&region.done, done);
  }
  inside_region = false;
  pthread_mutex_unlock(&region_lock);
}

void ck_pool_run(size_t chunks, ck_chunk_fn fn, void *context) { run(chunks, false, fn, context); }

void ck_pool_run_placed(size_t chunks, ck_chunk_fn fn, void *context) {
  run(chunks, chunks <= ck_pool_most_placed, fn, context);
}

// A thread's scratch is freed when the thread ends, through the key's destructor.
typedef struct {
  void *base[ck_scratch_slots];
  size_t bytes[ck_scratch_slots];
} scratch_t;

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_destroy(void *argument) {
  scratch_t *scratch = argument;
  for (int slot = 0; slot < ck_scratch_slots; slot++) free(scratch->base[slot]);
  free(scratch);
}
static void scratch_make_key(void) { pthread_key_create(&scratch_key, scratch_destroy); }

void *ck_scratch(unsigned slot, size_t bytes) {
  if (slot >= ck_scratch_slots) return NULL;
  pthread_once(&scratch_once, scratch_make_key);
  scratch_t *scratch = pthread_getspecific(scratch_key);
  if (!scratch) {
    scratch = calloc(1, sizeof *scratch);
    if (!scratch) return NULL;
    pthread_setspecific(scratch_key, scratch);
  }
  if (scratch->bytes[slot] < bytes) {
    free(scratch->base[slot]);
    const size_t rounded = (bytes + 4095) / 4096 * 4096;
    scratch->base[slot] = aligned_alloc(4096, rounded);
    scratch->bytes[slot] = scratch->base[slot] ? rounded : 0;
  }
  return scratch->base[slot];
}

void ck_scratch_release(void) {
  pthread_once(&scratch_once, scratch_make_key);
  scratch_t *scratch = pthread_getspecific(scratch_key);
  if (!scratch) return;
  scratch_destroy(scratch);
  pthread_setspecific(scratch_key, NULL);
}
