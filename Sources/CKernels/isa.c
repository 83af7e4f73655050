// Which instruction sets this CPU has, found once with cpuid (and XGETBV, through the compiler's builtin).
#define _GNU_SOURCE
#include <stdbool.h>

#include "gemm_plan.h"
#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

extern const ck_isa ck_isa_generic;
#if defined(__x86_64__)
extern const ck_isa ck_isa_avx2, ck_isa_avx512, ck_isa_avx512bf16, ck_isa_amx;
extern const ck_isa ck_isa_avx2_vnni, ck_isa_avx512_vnni, ck_isa_avx512bf16_vnni, ck_isa_amx_vnni;
#endif

#if defined(__x86_64__)
// From Sapphire Rapids on, Intel issues VDPBF16PS on zmm every second cycle (measured: 83 GFLOP/s per core against 172
// with f32 FMA, which does twice the instructions); its bf16 throughput went into AMX. Widening to f32 is faster there.
static bool slow_bf16_dot(void) { return __builtin_cpu_is("intel") && __builtin_cpu_supports("avx512fp16"); }

// Tiles are 8 KiB of state per thread, which the kernel saves only for processes that have asked (Linux 5.16 on; refused
// also where a thread has an alternate signal stack without room for them). Holds for all threads, also later ones.
static bool may_use_tiles(void) {
  enum { request_permission = 0x1023, tile_data = 18 };  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
         syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#endif

// Intel's prefetchers follow 16 runs side by side (measured on Sapphire and Emerald Rapids). Zen 5 does better when asked in the
// order of memory. On Zen 2 one stream arrives at 16 GB/s and eight apart at 23, and neighbours lose each other: one row of Q8_0
// takes twice as long as with runs apart, on Zen 3 1.3 to 1.5 times. Zen 1 is taken to be like them, unmeasured.
ck_reading ck_isa_reading(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_is("znver1") || __builtin_cpu_is("znver2") || __builtin_cpu_is("znver3")) return ck_reading_apart;
  if (__builtin_cpu_is("amd")) return ck_reading_in_order;
#endif
  return ck_reading_neighbours;
}

// Zen 2 was measured: 512 rows by Q8_0 took 1.29 times as long in integers as in floats, when codes of 8 bits were multiplied by
// vpmaddubsw in two passes; by vpmaddwd, which it starts as seldom, they are at best as fast. The others by tables of
// instructions.
bool ck_isa_has_slow_bytes(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_is("znver1") || __builtin_cpu_is("znver2") || __builtin_cpu_is("haswell") ||
         __builtin_cpu_is("broadwell");
#else
  return false;
#endif
}

size_t ck_isa_available(const ck_isa **tables, size_t capacity, bool vnni) {
  size_t n = 0;
#define ADD(isa) \
  if (n < capacity) tables[n++] = &(isa)
#define ADD_EITHER(vnni, isa) ADD(*(vnni ? &isa##_vnni : &isa))
  ADD(ck_isa_generic);
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) return n;
  ADD_EITHER(vnni && __builtin_cpu_supports("avxvnni"), ck_isa_avx2);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return n;
  vnni = vnni && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = __builtin_cpu_supports("avx512bf16"), bf16_last = bf16 && !slow_bf16_dot();
  if (bf16 && !bf16_last) ADD_EITHER(vnni, ck_isa_avx512bf16);
  ADD_EITHER(vnni, ck_isa_avx512);
  if (bf16_last) ADD_EITHER(vnni, ck_isa_avx512bf16);
  if (bf16 && may_use_tiles()) ADD_EITHER(vnni, ck_isa_amx);
#endif
#undef ADD
#undef ADD_EITHER
  return n;
}
