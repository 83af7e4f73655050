// Peak arithmetic of AMX: products of tiles of bf16 that never leave the registers.
#define _GNU_SOURCE
#include <stdint.h>

#include "CPeak.h"
#include "team.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { products_per_round = 4, operations = products_per_round * 16 * 16 * 32 * 2, repeats = 40 };

typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes_per_row[16];
  uint8_t rows[16];
} configuration;

// Four sums, since one product takes as long as three more take to start; two operands of each side.
__attribute__((target("amx-tile,amx-bf16"))) static void work(void *context, size_t member, size_t members) {
  (void)member, (void)members;
  configuration tiles = {.palette = 1};
  for (int i = 0; i < 8; i++) tiles.bytes_per_row[i] = 64, tiles.rows[i] = 16;
  _tile_loadconfig(&tiles);
  for (uint64_t round = *(const uint64_t *)context; round > 0; round--) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 5, 6);
    _tile_dpbf16ps(2, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

double cpeak_bf16_tiles(size_t threads, double seconds) {
  enum { request_permission = 0x1023, tile_data = 18 };  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("amx-tile") || !__builtin_cpu_supports("amx-bf16") ||
      syscall(SYS_arch_prctl, request_permission, tile_data) != 0)
    return 0;
  uint64_t rounds = 1 << 12;
  while (team_run(&threads, work, &rounds) < seconds / repeats && rounds < (1ull << 40)) rounds *= 2;
  double best = 0;
  for (int i = 0; i < repeats; i++) {
    const double rate = (double)operations * (double)rounds * (double)threads / team_run(&threads, work, &rounds);
    if (rate > best) best = rate;
  }
  return best;
}
#else
double cpeak_bf16_tiles(size_t threads, double seconds) {
  (void)threads, (void)seconds;
  return 0;
}
#endif
