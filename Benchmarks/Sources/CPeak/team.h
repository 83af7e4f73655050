// A team of threads that run one function together, started at the same moment and timed from there.
#pragma once
#include <stddef.h>

typedef void (*team_fn)(void *context, size_t member, size_t members);

// Seconds from the common start to the end of the last member. `members` becomes smaller when the system refuses threads.
double team_run(size_t *members, team_fn fn, void *context);
