#include "isa_prologue.h"
#define CK(x) x##_generic
#define CK_LEVEL CK_LEVEL_GENERIC
#include "isa_body.inc"
const ck_isa ck_isa_generic = CK_ISA_TABLE("generic");
