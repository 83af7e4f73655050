#pragma once
#include <cblas.h>
#include <openblas_config.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// OpenBLAS chooses its kernels when it is loaded. A version older than the CPU knows neither its name nor what it has, and falls
// back on kernels of 2004 (SSE3), four to eight times slower. These functions of its own choose again, by the
// environment; builds for one kind of CPU lack them.
#if defined(__x86_64__)
extern void gotoblas_dynamic_init(void) __attribute__((weak));
extern void gotoblas_dynamic_quit(void) __attribute__((weak));

// Before any other use of OpenBLAS. False where nothing was to be done.
static inline bool ck_openblas_choose_again(void) {
  static const char variable[] = "OPENBLAS_CORETYPE";
  if (!gotoblas_dynamic_init || !gotoblas_dynamic_quit || getenv(variable)) return false;
  const char *chosen = openblas_get_corename(), *const old[] = {"Katmai", "Coppermine", "Northwood", "Prescott", "Core2"};
  bool fell_back = false;
  for (size_t i = 0; i < sizeof old / sizeof *old; i++) fell_back |= strcmp(chosen, old[i]) == 0;
  __builtin_cpu_init();
  if (!fell_back || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return false;
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (setenv(variable, wide ? "SkylakeX" : "Haswell", 1) != 0) return false;
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  unsetenv(variable);
  return true;
}
#else
static inline bool ck_openblas_choose_again(void) { return false; }
#endif
