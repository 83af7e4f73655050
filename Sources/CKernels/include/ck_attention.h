#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct ck_attention_ops {
  int unused;
} ck_attention_ops;
