// The C kernels behind Tensor: one body per kernel, compiled once per instruction set, one table per set,
// one thread pool. Start at ck_isa.h for dispatch and ck_pool.h for threads.
#pragma once
#include "ck_attention.h"
#include "ck_convert.h"
#include "ck_decomposition.h"
#include "ck_elementwise.h"
#include "ck_gemm.h"
#include "ck_gradient.h"
#include "ck_isa.h"
#include "ck_memory.h"
#include "ck_pool.h"
#include "ck_repeat.h"
#include "ck_rows.h"
#include "ck_sort.h"
#include "ck_transpose.h"
