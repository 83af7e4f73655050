#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct ck_elementwise_ops {
  int unused;
} ck_elementwise_ops;
