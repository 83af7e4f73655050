// Shared by the drivers that take strided operands: one walk over a shape for several operands.
#pragma once
#include <stdbool.h>

#include "ck_elementwise.h"
#include "ck_isa.h"

enum { ck_block = 1024 };  // elements: four blocks of f32 fit the L1 cache with room to spare

typedef struct ck_walk {
  size_t rank, operands, count;
  size_t sizes[ck_max_rank];
  ptrdiff_t strides[ck_max_operands + 1][ck_max_rank];
  bool packed[ck_max_operands + 1];  // the operand lies in the walk's own order without gaps
} ck_walk;

// Drops axes of extent 1 and merges neighbours that every operand steps through as one.
ck_walk ck_walk_make(size_t rank, const size_t *sizes, const ptrdiff_t *const *strides, size_t operands);

// How many elements from `start` on (at most ck_block) make the next block: a part of one row when rows are long.
size_t ck_walk_block(const ck_walk *walk, size_t start, size_t end);

// Elements start ..< start + n of an operand in `compute`'s type: where they lie when they lie there contiguously,
// otherwise gathered and converted into buffer (ck_block doubles, as is raw).
const void *ck_walk_read(const ck_isa *isa, const ck_walk *walk, size_t operand, const void *data, ck_type type,
                         ck_type compute, size_t start, size_t n, void *buffer, void *raw);

// Converts n elements from `compute`'s type and scatters them to an operand's elements start ..< start + n.
void ck_walk_write(const ck_isa *isa, const ck_walk *walk, size_t operand, void *data, ck_type type, ck_type compute,
                   size_t start, size_t n, const void *values, void *raw);

// Where an operand's elements start ... can be written directly, or null.
void *ck_walk_direct(const ck_walk *walk, size_t operand, void *data, size_t size, size_t start, size_t n);
