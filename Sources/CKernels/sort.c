#include "ck_sort.h"

uint64_t ck_sort_keys(const ck_isa *isa, size_t word, ck_sort_order order, const void *x, ptrdiff_t stride, size_t n,
                      uint64_t limit, void *keys) {
  switch (word) {
    case 1: return isa->sort->keys_8(order, x, stride, n, limit, keys);
    case 2: return isa->sort->keys_16(order, x, stride, n, limit, keys);
    case 4: return isa->sort->keys_32(order, x, stride, n, limit, keys);
    default: return isa->sort->keys_64(order, x, stride, n, limit, keys);
  }
}
