// Plain pthreads rather than the library's pool: a yardstick must not depend on what it measures.
#define _GNU_SOURCE
#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

enum { max_members = 256 };

typedef struct {
  team_fn fn;
  void *context;
  size_t members;
  atomic_bool started;
} team_t;

typedef struct {
  team_t *team;
  size_t index;
  double begin, end;
} member_t;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void *member_main(void *argument) {
  member_t *member = argument;
  team_t *team = member->team;
  while (!atomic_load_explicit(&team->started, memory_order_acquire)) sched_yield();
  member->begin = now();
  team->fn(team->context, member->index, team->members);
  member->end = now();
  return NULL;
}

double team_run(size_t *members, team_fn fn, void *context) {
  team_t team = {.fn = fn, .context = context};
  member_t member[max_members];
  pthread_t thread[max_members];
  const size_t wanted = *members < 1 ? 1 : *members > max_members ? max_members : *members;
  size_t count = 0;
  for (; count < wanted; count++) {
    member[count] = (member_t){.team = &team, .index = count};
    if (count > 0 && pthread_create(&thread[count], NULL, member_main, &member[count]) != 0) break;
  }
  team.members = count;
  atomic_store_explicit(&team.started, true, memory_order_release);
  member_main(&member[0]);
  double begin = member[0].begin, end = member[0].end;
  for (size_t i = 1; i < count; i++) {
    pthread_join(thread[i], NULL);
    if (member[i].begin < begin) begin = member[i].begin;
    if (member[i].end > end) end = member[i].end;
  }
  *members = count;
  return end - begin;
}
