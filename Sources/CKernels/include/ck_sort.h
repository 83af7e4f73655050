// Keys for sorting: unsigned numbers that order as the elements do.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "ck_isa.h"

// How the bits of an element become its key; all fields have the element's size, the bits above are ignored.
typedef struct ck_sort_order {
  uint64_t mirror;    // the sign bit of a number stored as sign and magnitude, otherwise 0
  uint64_t bias;      // flipped in every element that is not mirrored: the sign bit of signed types
  uint64_t infinity;  // greater magnitudes are NaN, whose key is the greatest
  uint64_t flip;      // all ones for descending order
} ck_sort_order;

enum { ck_sort_block = 64 };

// Writes the keys of n <= ck_sort_block elements that lie `stride` elements apart, at any alignment, and tells which of
// them are below `limit`: bit i of the result stands for key i.
typedef uint64_t (*ck_sort_keys_fn)(ck_sort_order order, const void *x, ptrdiff_t stride, size_t n, uint64_t limit,
                                    void *keys);

typedef struct ck_sort_ops {
  ck_sort_keys_fn keys_8, keys_16, keys_32, keys_64;  // by the bits of an element
} ck_sort_ops;

// The same for elements of `word` bytes: 1, 2, 4 or 8.
uint64_t ck_sort_keys(const ck_isa *isa, size_t word, ck_sort_order order, const void *x, ptrdiff_t stride,
                      size_t n, uint64_t limit, void *keys);
