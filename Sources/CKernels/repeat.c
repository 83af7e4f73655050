#include "ck_repeat.h"

#include <stdint.h>

#define REPEAT(type)                                                                               \
  typedef type unaligned_##type __attribute__((aligned(1), may_alias));                            \
  static void repeat_##type(size_t count, size_t times, unaligned_##type *restrict to,             \
                            const unaligned_##type *restrict from) {                               \
    if (times == 2) { /* what upsampling does: a loop that the compiler turns into vectors */      \
      for (size_t i = 0; i < count; i++) to[2 * i] = from[i], to[2 * i + 1] = from[i];             \
      return;                                                                                      \
    }                                                                                              \
    for (size_t i = 0; i < count; i++)                                                             \
      for (size_t j = 0; j < times; j++) *to++ = from[i];                                          \
  }
REPEAT(uint8_t)
REPEAT(uint16_t)
REPEAT(uint32_t)
REPEAT(uint64_t)

void ck_repeat(size_t word, size_t count, size_t times, void *to, const void *from) {
  switch (word) {
    case 1: repeat_uint8_t(count, times, to, from); break;
    case 2: repeat_uint16_t(count, times, to, from); break;
    case 4: repeat_uint32_t(count, times, to, from); break;
    default: repeat_uint64_t(count, times, to, from); break;
  }
}
