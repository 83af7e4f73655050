// Peak arithmetic: independent chains of multiply-adds that never leave the registers.
#include <stdbool.h>
#include <stdint.h>

#include "CPeak.h"
#include "team.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Enough chains to cover latency times issue width (4 or 5 cycles x 2 ports on x86, 4 x 4 on arm64), and few enough to stay in
// registers with the two operands: AVX2 and SSE2 have 16 of them. A chain that spills measures the store buffer.
enum { few_chains = 12, chains = 16 };

// The multiplier is just below one, so that values neither grow nor become denormal. The compiler must not know them: it once
// saw that a chain that starts at 1 stays there, and left it out, which made the peak of 12 chains that of 11.
static const volatile float multiplier = 0.999f, addend = 0.001f;

// One loop per vector width. The sum of the chains is stored, so that none is dropped.
#define PEAK_LOOP(name, attributes, chains, vector, splat, step)         \
  attributes static void name(uint64_t rounds, float *sink) {            \
    const vector a = splat(multiplier), b = splat(addend);               \
    vector sum[chains];                                                  \
    for (int i = 0; i < chains; i++) sum[i] = splat((float)i);           \
    for (uint64_t round = 0; round < rounds; round++)                    \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < chains; i++) step(sum[i]); \
    for (int i = 1; i < chains; i++) sum[0] += sum[i];                   \
    *sink = ((float *)&sum[0])[0];                                       \
  }

typedef float vector4 __attribute__((vector_size(16)));
typedef float vector8 __attribute__((vector_size(32)));
typedef float vector16 __attribute__((vector_size(64)));
typedef void (*loop_fn)(uint64_t rounds, float *sink);

#define SPLAT4(x) ((vector4){x, x, x, x})
#define MULTIPLY_ADD(sum) sum = sum * a + b
#define FUSED(sum) sum = __builtin_elementwise_fma(sum, a, b)

#if defined(__aarch64__)
PEAK_LOOP(f32_generic, , chains, vector4, SPLAT4, FUSED)
#else
PEAK_LOOP(f32_generic, , few_chains, vector4, SPLAT4, MULTIPLY_ADD)
#endif

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl"), min_vector_width(512)))
#define AVX512BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"), min_vector_width(512)))
#define SPLAT8(x) ((vector8)_mm256_set1_ps(x))
#define SPLAT16(x) ((vector16)_mm512_set1_ps(x))
#define DOT(sum) sum = (vector16)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b)
PEAK_LOOP(f32_avx2, AVX2, few_chains, vector8, SPLAT8, FUSED)
PEAK_LOOP(f32_avx512, AVX512, chains, vector16, SPLAT16, FUSED)
PEAK_LOOP(bf16_avx512, AVX512BF16, chains, vector16, SPLAT16, DOT)
#define BYTES8(sum) sum = (vector8)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b)
#define BYTES16(sum) sum = (vector16)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b)
PEAK_LOOP(int8_avx2, __attribute__((target("avx2,avxvnni"))), few_chains, vector8, SPLAT8, BYTES8)
PEAK_LOOP(int8_avx512, __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"), min_vector_width(512))), chains,
          vector16, SPLAT16, BYTES16)
#endif

typedef struct {
  loop_fn loop;
  uint64_t rounds;
} work_t;

static void work(void *context, size_t member, size_t members) {
  (void)member, (void)members;
  const work_t *w = context;
  volatile float kept;
  float sink;
  w->loop(w->rounds, &sink);
  kept = sink;
  (void)kept;
}

static double best_rate(loop_fn loop, double operations_per_round, size_t threads, double seconds) {
  enum { repeats = 40 };  // many short ones: the best finds the quiet moment of a shared machine
  work_t w = {.loop = loop, .rounds = 1 << 14};
  // Doubled until one repeat takes its share of the time, which also wakes the cores up.
  while (team_run(&threads, work, &w) < seconds / repeats && w.rounds < (1ull << 40)) w.rounds *= 2;
  double best = 0;
  for (int i = 0; i < repeats; i++) {
    const double rate = operations_per_round * (double)w.rounds * (double)threads / team_run(&threads, work, &w);
    if (rate > best) best = rate;
  }
  return best;
}

#if defined(__x86_64__)
static bool has_avx2(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

double cpeak_f32(cpeak_set set, size_t threads, double seconds) {
#if defined(__x86_64__)
  if (set >= cpeak_avx512 && has_avx512()) return best_rate(f32_avx512, 2.0 * 16 * chains, threads, seconds);
  if (set >= cpeak_avx2 && has_avx2()) return best_rate(f32_avx2, 2.0 * 8 * few_chains, threads, seconds);
  return best_rate(f32_generic, 2.0 * 4 * few_chains, threads, seconds);
#else
  (void)set;
  return best_rate(f32_generic, 2.0 * 4 * chains, threads, seconds);
#endif
}

double cpeak_bf16(cpeak_set set, size_t threads, double seconds) {
#if defined(__x86_64__)
  if (set >= cpeak_avx512 && has_avx512() && __builtin_cpu_supports("avx512bf16"))
    return best_rate(bf16_avx512, 4.0 * 16 * chains, threads, seconds);
#endif
  (void)set, (void)threads, (void)seconds;
  return 0;
}

double cpeak_int8(cpeak_set set, size_t threads, double seconds) {
#if defined(__x86_64__)
  if (set >= cpeak_avx512 && has_avx512() && __builtin_cpu_supports("avx512vnni"))
    return best_rate(int8_avx512, 8.0 * 16 * chains, threads, seconds);
  if (set == cpeak_avx2 && has_avx2() && __builtin_cpu_supports("avxvnni"))
    return best_rate(int8_avx2, 8.0 * 8 * few_chains, threads, seconds);
#endif
  (void)set, (void)threads, (void)seconds;
  return 0;
}
