// Scalar types and conversions between them, contiguous. Rules, for every instruction set alike:
//   to a narrower float: round to nearest, ties to even; NaN stays NaN (its top payload bits kept where they fit);
//     overflow gives infinity, except e4m3fn, which has none and saturates at 448 (as torch does); f64 and 64-bit
//     integers go through f32 to the types narrower than it (as in torch);
//   float to integer: truncated; out of range saturates, NaN gives 0 (C leaves it undefined);
//   integer to integer: modulo 2^bits; anything to bool: x != 0.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct ck_isa;

typedef enum ck_type {
  ck_type_bool, ck_type_u8, ck_type_i8, ck_type_u16, ck_type_i16, ck_type_u32, ck_type_i32, ck_type_u64, ck_type_i64,
  ck_type_f8_e4m3fn, ck_type_f8_e5m2, ck_type_f16, ck_type_bf16, ck_type_f32, ck_type_f64
} ck_type;
enum { ck_type_count = ck_type_f64 + 1 };

// The three types that arithmetic is done in: floats up to 32 bits in f32, f64 in f64, integers and bool in i64.
typedef void (*ck_convert_fn)(const void *x, void *y, size_t n);

typedef struct ck_convert_ops {
  ck_convert_fn to_f32[ck_type_count], from_f32[ck_type_count];
  // Null for the floats narrower than f32, which go through it.
  ck_convert_fn to_f64[ck_type_count], from_f64[ck_type_count];
  // Null for all floats.
  ck_convert_fn to_i64[ck_type_count], from_i64[ck_type_count];
  // Copies past the caches: see stream.h.
  void (*stream)(void *to, const void *from, size_t bytes);
} ck_convert_ops;

// Bytes of one element.
size_t ck_type_size(ck_type type);

// y[i] = x[i] for n contiguous elements, on all threads. x and y must not overlap, unless they are equal and y's type
// is not wider than x's.
void ck_convert(const struct ck_isa *isa, ck_type from, const void *x, ck_type to, void *y, size_t n);

// The same on the calling thread: what other kernels use for a block of elements.
void ck_convert_block(const struct ck_isa *isa, ck_type from, const void *x, ck_type to, void *y, size_t n);
