#include "isa_prologue.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#define CK(x) x##_avx2
#define CK_LEVEL CK_LEVEL_AVX2
#include "isa_body.inc"
#pragma clang attribute pop
const ck_isa ck_isa_avx2 = CK_ISA_TABLE("avx2");
#endif
