// The one thread pool of the process. A region is a number of chunks; the caller and the workers claim
// chunks from one counter, so a descheduled worker never holds up a region it has not started on.
#pragma once
#include <stddef.h>

typedef void (*ck_chunk_fn)(void *context, size_t chunk);

// Threads a region may use: the affinity mask's count unless set. Setting it takes effect with the next region.
size_t ck_pool_threads(void);
void ck_pool_set_threads(size_t threads);

// Runs fn(context, i) for i in 0 ..< chunks and returns when all are done. A region inside a region, or one
// that finds the pool taken by another thread, runs serially on its caller.
void ck_pool_run(size_t chunks, __attribute__((swift_attr("@Sendable"))) ck_chunk_fn fn, void *context);

// As ck_pool_run, but chunk i is the same thread's in every region, unless another one finds it left over: what a chunk
// reads and writes stays in that core's caches. More than 32 chunks are claimed as by ck_pool_run.
enum { ck_pool_most_placed = 32 };
void ck_pool_run_placed(size_t chunks, __attribute__((swift_attr("@Sendable"))) ck_chunk_fn fn, void *context);

// Scratch of at least `bytes` bytes, 64-byte aligned, owned by the calling thread and slot, kept for the next
// call. NULL only when memory is exhausted. A kernel that calls another must not share its slot.
enum { ck_scratch_gemm_a, ck_scratch_gemm_b, ck_scratch_gemm_bias, ck_scratch_attention, ck_scratch_rows, ck_scratch_slots };
void *ck_scratch(unsigned slot, size_t bytes);
// Frees the calling thread's scratch.
void ck_scratch_release(void);
