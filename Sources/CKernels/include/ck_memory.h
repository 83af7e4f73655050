// What C has and Swift's Glibc module has not.
#pragma once

// Gives free pages of every heap back to the system. glibc keeps them, in one heap per thread that allocates.
void ck_memory_trim(void);
