#pragma once
#include <lapacke.h>

// Steps of LAPACK's divide and conquer (`stedc`, `bdsdc`), for which LAPACKE has no names.
#define CK_STEPS(real, laed2, lasd0, lasd2)                                                                             \
  extern void laed2(                                                                                                    \
      lapack_int *k, const lapack_int *n, const lapack_int *n1, real *d, real *q, const lapack_int *ldq,                \
      lapack_int *indxq, real *rho, real *z, real *dlamda, real *w, real *q2, lapack_int *indx, lapack_int *indxc,      \
      lapack_int *indxp, lapack_int *coltyp, lapack_int *info);                                                         \
  extern void lasd0(                                                                                                    \
      const lapack_int *n, const lapack_int *sqre, real *d, real *e, real *u, const lapack_int *ldu, real *vt,          \
      const lapack_int *ldvt, const lapack_int *smlsiz, lapack_int *iwork, real *work, lapack_int *info);               \
  extern void lasd2(                                                                                                    \
      const lapack_int *nl, const lapack_int *nr, const lapack_int *sqre, lapack_int *k, real *d, real *z,              \
      const real *alpha, const real *beta, real *u, const lapack_int *ldu, real *vt, const lapack_int *ldvt,            \
      real *dsigma, real *u2, const lapack_int *ldu2, real *vt2, const lapack_int *ldvt2, lapack_int *idxp,             \
      lapack_int *idx, lapack_int *idxc, lapack_int *idxq, lapack_int *coltyp, lapack_int *info);

CK_STEPS(float, slaed2_, slasd0_, slasd2_)
CK_STEPS(double, dlaed2_, dlasd0_, dlasd2_)
#undef CK_STEPS
