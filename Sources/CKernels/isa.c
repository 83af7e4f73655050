// Which instruction sets this CPU has, found once with cpuid (and XGETBV, through the compiler's builtin).
#include "ck_isa.h"

extern const ck_isa ck_isa_generic;
#if defined(__x86_64__)
extern const ck_isa ck_isa_avx2, ck_isa_avx512, ck_isa_avx512bf16;
#endif

size_t ck_isa_available(const ck_isa **tables, size_t capacity) {
  size_t n = 0;
#define ADD(isa) \
  if (n < capacity) tables[n++] = &(isa)
  ADD(ck_isa_generic);
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) return n;
  ADD(ck_isa_avx2);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return n;
  ADD(ck_isa_avx512);
  if (!__builtin_cpu_supports("avx512bf16")) return n;
  ADD(ck_isa_avx512bf16);
#endif
#undef ADD
  return n;
}
