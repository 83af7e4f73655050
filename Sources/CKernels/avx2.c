#include "isa_prologue.h"

#if defined(__x86_64__)
#define CK(x) x##_avx2
#define CK_LEVEL CK_LEVEL_AVX2
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#include "isa_body.inc"
#define INT(x) integer_##x##_avx2_pairs
#define INT_WAY INT_PAIRS
#include "integer.inc"
#undef INT
#undef INT_WAY
#define INT(x) integer_##x##_avx2
#define INT_WAY INT_MADDUBS
#define INT_BYTES integer_ops_avx2_pairs
#include "integer.inc"
#undef INT_BYTES
#pragma clang attribute pop
const ck_isa ck_isa_avx2 = CK_ISA_TABLE("avx2", integer_ops_avx2);

#undef INT
#undef INT_WAY
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avxvnni"))), apply_to = function)
#define INT(x) integer_##x##_avx2_vnni
#define INT_WAY INT_DOT
#include "integer.inc"
#pragma clang attribute pop
const ck_isa ck_isa_avx2_vnni = CK_ISA_TABLE("avx2", integer_ops_avx2_vnni);
#endif
