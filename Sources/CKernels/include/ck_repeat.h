// Copies that take every element several times.
#pragma once
#include <stddef.h>

// to[i * times + j] = from[i] for words of 1, 2, 4 or 8 bytes, i < count, j < times. Nothing needs to be aligned, and the two
// must not overlap.
void ck_repeat(size_t word, size_t count, size_t times, void *to, const void *from);
