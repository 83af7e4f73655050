// Copies that turn rows into columns.
#pragma once
#include <stddef.h>

// to[r][c] = from[c][r] for words of 1, 2, 4 or 8 bytes, r < rows, c < columns, on all threads. Strides are in bytes, from one
// row of `to` and of `from` to the next; nothing needs to be aligned, and the two must not overlap.
void ck_transpose(size_t word, size_t rows, size_t columns, void *to, ptrdiff_t to_stride, const void *from,
                  ptrdiff_t from_stride);
