// What this machine can do: the yardsticks that benchmark results are divided by.
#pragma once
#include <stddef.h>

// The widest instructions that may be used.
typedef enum { cpeak_generic, cpeak_avx2, cpeak_avx512 } cpeak_set;

// Multiply-adds on registers only, on `threads` threads for about `seconds` each; operations per second, all threads
// together, the best of several rounds. A multiply-add counts as two operations.
double cpeak_f32(cpeak_set set, size_t threads, double seconds);
// The same for dot products of bf16 pairs into f32, and of four bytes into 32 bits; 0 without such an instruction.
double cpeak_bf16(cpeak_set set, size_t threads, double seconds);
double cpeak_int8(cpeak_set set, size_t threads, double seconds);
// The same for tiles of bf16 (AMX); 0 on a CPU without them, or where the kernel refuses their use.
double cpeak_bf16_tiles(size_t threads, double seconds);

// Bytes per second; a copy counts the bytes read and the bytes written.
typedef struct {
  double read, copy;
} cpeak_bandwidth;

// Passes over a buffer of `bytes` bytes shared out between `threads` threads for about `seconds` each, the best of them.
// Choose `bytes` beyond the caches. Zeros when memory is exhausted.
cpeak_bandwidth cpeak_memory(size_t threads, size_t bytes, double seconds);
