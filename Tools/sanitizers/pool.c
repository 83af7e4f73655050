// The thread pool alone, from eight threads at once, while the number of threads changes: for ThreadSanitizer, which sees
// everything here and needs no list of false reports.
//   clang -O1 -g -fsanitize=thread -ISources/CKernels/include Tools/sanitizers/pool.c Sources/CKernels/pool.c -lpthread
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "ck_pool.h"

enum { callers = 8, rounds = 4000, most_chunks = 48 };

typedef struct {
  size_t runs[most_chunks];  // plain: each chunk is run once, and the caller reads after all
} region;

static void chunk(void *context, size_t index) { ((region *)context)->runs[index] += index + 1; }

static void *caller(void *argument) {
  const size_t number = (size_t)argument;
  for (size_t round = 0; round < rounds; round++) {
    region work = {{0}};
    const size_t chunks = 1 + (round * 7 + number) % most_chunks;
    if (number == 0 && round % 16 == 0) ck_pool_set_threads(1 + round / 16 % 5);
    ck_pool_run(chunks, chunk, &work);
    for (size_t index = 0; index < most_chunks; index++)
      if (work.runs[index] != (index < chunks ? index + 1 : 0)) {
        fprintf(stderr, "chunk %zu of %zu ran %zu times\n", index, chunks, work.runs[index] / (index + 1));
        exit(1);
      }
  }
  ck_scratch_release();
  return NULL;
}

int main(void) {
  pthread_t threads[callers];
  for (size_t index = 0; index < callers; index++) pthread_create(&threads[index], NULL, caller, (void *)index);
  for (size_t index = 0; index < callers; index++) pthread_join(threads[index], NULL);
  return 0;
}
