// Instruction sets and their kernel tables. Every kernel body (*.inc) is compiled once per set; a table
// gathers the results. Callers take a table as a parameter, so that tests run every set of this machine.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct ck_gemm_ops;
struct ck_attention_ops;
struct ck_row_ops;
struct ck_elementwise_ops;
struct ck_convert_ops;
struct ck_gradient_ops;
struct ck_sort_ops;
struct ck_decomposition_f32;
struct ck_decomposition_f64;

typedef struct ck_isa {
  const char *name;  // "generic", "avx2", "avx512", "avx512bf16", "amx"
  const struct ck_gemm_ops *gemm;
  const struct ck_gemm_ops *gemm_integer;  // with blocks of B, in integers
  const struct ck_attention_ops *attention;
  const struct ck_row_ops *rows;
  const struct ck_elementwise_ops *elementwise;
  const struct ck_convert_ops *convert;
  const struct ck_gradient_ops *gradient;
  const struct ck_sort_ops *sort;
  const struct ck_decomposition_f32 *decomposition_f32;
  const struct ck_decomposition_f64 *decomposition_f64;
} ck_isa;

// The sets this CPU can run, slowest first; "generic" is always there. Where the CPU multiplies bytes into 32-bit sums
// (AVX-VNNI, AVX-512 VNNI) and `vnni` holds, their integer products do. Returns their number.
size_t ck_isa_available(const ck_isa **tables, size_t capacity, bool vnni);

// Whether this CPU starts one vpmaddubsw in a cycle where it starts two multiply-adds of floats, so that `avx2` without VNNI
// gains nothing from integers with weights of eight bits, which take two of them.
bool ck_isa_has_slow_bytes(void);
