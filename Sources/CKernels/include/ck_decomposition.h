// What decompositions of matrices spend their time with, besides products of matrices: one element type a table.
#pragma once
#include <stddef.h>

#define CK_DECOMPOSITION_OPS(type)                                                                                    \
  {                                                                                                                   \
    /* What the first `columns` columns of the lower triangle of a symmetric matrix A contribute to A x: y[0 ..< rows] \
       is written. Every element is read once and stands for two. `a` points to the first element of the diagonal,    \
       columns are `leading` elements apart; columns <= rows. */                                                      \
    void (*symmetric_columns)(const type *a, size_t leading, size_t rows, size_t columns, const type *x, type *y);    \
    /* The sums of squares[i] / (poles[i] - x), and of squares[i] / (poles[i] - x)^2, over 0 ..< n. */                \
    void (*secular_sums)(const type *squares, const type *poles, size_t n, type x, type *value, type *slope);         \
  }

typedef struct ck_decomposition_f32 CK_DECOMPOSITION_OPS(float) ck_decomposition_f32;
typedef struct ck_decomposition_f64 CK_DECOMPOSITION_OPS(double) ck_decomposition_f64;
