#include "isa_prologue.h"

// The rows of avx512.c, but products with bf16 weights and bf16 attention, which multiply in tiles (gemm_amx.inc).
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16"), min_vector_width(512))), apply_to = function)
#define CK(x) x##_amx
#define CK_LEVEL CK_LEVEL_AMX
#include "isa_body.inc"
#pragma clang attribute pop
// Products in integers are those of avx512.
extern const ck_gemm_ops integer_ops_avx512, integer_ops_avx512_vnni;
const ck_isa ck_isa_amx = CK_ISA_TABLE("amx", integer_ops_avx512);
const ck_isa ck_isa_amx_vnni = CK_ISA_TABLE("amx", integer_ops_avx512_vnni);
#endif
