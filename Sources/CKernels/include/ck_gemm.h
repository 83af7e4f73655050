#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct ck_gemm_ops {
  int unused;
} ck_gemm_ops;
