// A tile is a cache line of words wide and high: each line of the source is read once and each of the target written once,
// whatever the strides (those of powers of two would otherwise evict each other).
#include "ck_transpose.h"

#include <stdint.h>
#include <string.h>

#include "ck_pool.h"

enum { line = 64, band_bytes = 1 << 17 };

typedef struct {
  size_t word, rows, columns, bands_rows;
  char *to;
  const char *from;
  ptrdiff_t to_stride, from_stride;
} transposition;

#define TRANSPOSE_WORDS(type)                                                            \
  static void transpose_##type(const char tile[][line], char *to, ptrdiff_t to_stride,   \
                               size_t rows, size_t columns) {                            \
    type words[line / sizeof(type)];                                                     \
    for (size_t r = 0; r < rows; r++) {                                                  \
      for (size_t c = 0; c < columns; c++) memcpy(&words[c], tile[c] + r * sizeof(type), sizeof(type)); \
      memcpy(to + (ptrdiff_t)r * to_stride, words, columns * sizeof(type));              \
    }                                                                                    \
  }
TRANSPOSE_WORDS(uint8_t)
TRANSPOSE_WORDS(uint16_t)
TRANSPOSE_WORDS(uint32_t)
TRANSPOSE_WORDS(uint64_t)

typedef uint32_t quad __attribute__((vector_size(16)));

// A whole tile of 16 x 16, four rows of the target at a time.
static void transpose_quads(const char tile[][line], char *to, ptrdiff_t to_stride) {
  for (size_t r = 0; r < 16; r += 4) {
    quad out[4][4];
    for (size_t c = 0; c < 4; c++) {
      quad v[4];
      for (size_t i = 0; i < 4; i++) memcpy(&v[i], tile[4 * c + i] + 4 * r, sizeof v[i]);
      const quad a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5), b = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
      const quad d = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5), e = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
      out[0][c] = __builtin_shufflevector(a, d, 0, 1, 4, 5);
      out[1][c] = __builtin_shufflevector(a, d, 2, 3, 6, 7);
      out[2][c] = __builtin_shufflevector(b, e, 0, 1, 4, 5);
      out[3][c] = __builtin_shufflevector(b, e, 2, 3, 6, 7);
    }
    for (size_t i = 0; i < 4; i++) memcpy(to + (ptrdiff_t)(r + i) * to_stride, out[i], line);
  }
}

static void transpose_tile(const transposition *t, size_t row, size_t column, size_t rows, size_t columns) {
  char tile[line][line] __attribute__((aligned(64)));
  const char *from = t->from + (ptrdiff_t)column * t->from_stride + row * t->word;
  for (size_t c = 0; c < columns; c++) memcpy(tile[c], from + (ptrdiff_t)c * t->from_stride, rows * t->word);
  char *to = t->to + (ptrdiff_t)row * t->to_stride + column * t->word;
  const size_t side = line / t->word;
  switch (t->word) {
    case 1: transpose_uint8_t(tile, to, t->to_stride, rows, columns); break;
    case 2: transpose_uint16_t(tile, to, t->to_stride, rows, columns); break;
    case 4:
      if (rows == side && columns == side) transpose_quads(tile, to, t->to_stride);
      else transpose_uint32_t(tile, to, t->to_stride, rows, columns);
      break;
    default: transpose_uint64_t(tile, to, t->to_stride, rows, columns); break;
  }
}

static void transpose_band(void *context, size_t band) {
  const transposition *t = context;
  const size_t side = line / t->word, first = band * t->bands_rows;
  const size_t end = t->rows - first < t->bands_rows ? t->rows : first + t->bands_rows;
  for (size_t row = first; row < end; row += side)
    for (size_t column = 0; column < t->columns; column += side)
      transpose_tile(t, row, column, end - row < side ? end - row : side,
                     t->columns - column < side ? t->columns - column : side);
}

void ck_transpose(size_t word, size_t rows, size_t columns, void *to, ptrdiff_t to_stride, const void *from,
                  ptrdiff_t from_stride) {
  if (rows == 0 || columns == 0) return;
  const size_t side = line / word, row_bytes = columns * word;
  const size_t fitting = band_bytes / row_bytes / side * side;
  transposition t = {word, rows, columns, fitting > side ? fitting : side, to, from, to_stride, from_stride};
  ck_pool_run((rows + t.bands_rows - 1) / t.bands_rows, transpose_band, &t);
}
