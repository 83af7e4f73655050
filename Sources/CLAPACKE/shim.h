#pragma once
#include <lapacke.h>

// Steps of LAPACK's divide and conquer (`stedc`), for which LAPACKE has no names.
#define CK_LAED(real, laed2, laed4)                                                                                     \
  extern void laed2(                                                                                                    \
      lapack_int *k, const lapack_int *n, const lapack_int *n1, real *d, real *q, const lapack_int *ldq,                \
      lapack_int *indxq, real *rho, real *z, real *dlamda, real *w, real *q2, lapack_int *indx, lapack_int *indxc,      \
      lapack_int *indxp, lapack_int *coltyp, lapack_int *info);                                                         \
  extern void laed4(                                                                                                    \
      const lapack_int *n, const lapack_int *i, const real *d, const real *z, real *delta, const real *rho,             \
      real *dlam, lapack_int *info);

CK_LAED(float, slaed2_, slaed4_)
CK_LAED(double, dlaed2_, dlaed4_)
#undef CK_LAED
