#include "isa_prologue.h"
#define CK(x) x##_generic
#define CK_LEVEL CK_LEVEL_GENERIC
#include "isa_body.inc"
#define INT(x) integer_##x##_generic
#define INT_WAY INT_PAIRS
#include "integer.inc"
const ck_isa ck_isa_generic = CK_ISA_TABLE("generic", integer_ops_generic);
