#include "isa_prologue.h"

#if defined(__x86_64__)
#define CK(x) x##_avx512
#define CK_LEVEL CK_LEVEL_AVX512
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq"), min_vector_width(512))), apply_to = function)
#include "isa_body.inc"
#define INT(x) integer_##x##_avx512_pairs
#define INT_WAY INT_PAIRS
#include "integer.inc"
#undef INT
#undef INT_WAY
#define INT(x) integer_##x##_avx512
#define INT_WAY INT_MADDUBS
#define INT_BYTES integer_ops_avx512_pairs
#include "integer.inc"
#undef INT_BYTES
#pragma clang attribute pop
const ck_isa ck_isa_avx512 = CK_ISA_TABLE("avx512", integer_ops_avx512);

#undef INT
#undef INT_WAY
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"), min_vector_width(512))), apply_to = function)
#define INT(x) integer_##x##_avx512_vnni
#define INT_WAY INT_DOT
#include "integer.inc"
#pragma clang attribute pop
const ck_isa ck_isa_avx512_vnni = CK_ISA_TABLE("avx512", integer_ops_avx512_vnni);
#endif
