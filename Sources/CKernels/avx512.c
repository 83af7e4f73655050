#include "isa_prologue.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq"), min_vector_width(512))), apply_to = function)
#define CK(x) x##_avx512
#define CK_LEVEL CK_LEVEL_AVX512
#include "isa_body.inc"
#pragma clang attribute pop
const ck_isa ck_isa_avx512 = CK_ISA_TABLE("avx512");
#endif
