#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct ck_row_ops {
  int unused;
} ck_row_ops;
