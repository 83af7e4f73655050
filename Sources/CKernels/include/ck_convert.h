#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct ck_convert_ops {
  int unused;
} ck_convert_ops;
