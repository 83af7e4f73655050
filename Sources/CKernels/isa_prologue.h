// What every instruction-set file includes before it switches target features on: headers must not see the pragma.
#pragma once
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include "CKernels.h"
#include "attention_shared.h"
#include "gemm_plan.h"
#include "stream.h"

#define CK_LEVEL_GENERIC 0
#define CK_LEVEL_AVX2 1
#define CK_LEVEL_AVX512 2
#define CK_LEVEL_AVX512BF16 3
#define CK_LEVEL_AMX 4

// Ways to multiply bytes: see integer_step.inc.
#define INT_PAIRS 0
#define INT_MADDUBS 1
#define INT_DOT 2

// `integer_ops` is the table of products in integers.
#define CK_ISA_TABLE(isa_name, integer_ops)                                                            \
  {                                                                                                    \
    .name = isa_name, .gemm = &CK(gemm_ops), .gemm_integer = &(integer_ops),                           \
    .attention = &CK(attention_ops), .rows = &CK(row_ops), .elementwise = &CK(elementwise_ops),        \
    .convert = &CK(convert_ops), .gradient = &CK(gradient_ops), .sort = &CK(sort_ops),                 \
    .decomposition_f32 = &CK(decomposition_ops_f32), .decomposition_f64 = &CK(decomposition_ops_f64),  \
  }
