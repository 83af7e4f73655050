// Tables that a signal handler can read at any moment: blocks of slots that are never freed, every field atomic.
#define _GNU_SOURCE
#include "CSignals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { slots_per_block = 64 };

typedef struct {
  _Atomic uintptr_t base;  // 0 for a slot that is free; 1 for a file that is not mapped
  _Atomic size_t size;
  _Atomic(char *) path;  // kept for the next file when the slot becomes free: a handler may be reading it
  size_t capacity;       // guarded by the lock, like every change
} slot_t;

typedef struct block {
  slot_t slots[slots_per_block];
  _Atomic(struct block *) next;
} block_t;

static block_t mappings, temporaries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static slot_t *slot_at(block_t *block, size_t number) {
  size_t index = number - 1;
  for (; block && index >= slots_per_block; index -= slots_per_block) block = atomic_load(&block->next);
  return block ? &block->slots[index] : NULL;
}

static int keep_path(slot_t *slot, const char *path) {
  const size_t bytes = strlen(path) + 1;
  char *kept = atomic_load(&slot->path);
  if (slot->capacity < bytes) {
    kept = malloc(bytes);
    if (!kept) return 0;
    free(atomic_exchange(&slot->path, kept));
    slot->capacity = bytes;
  }
  memcpy(kept, path, bytes);
  return 1;
}

static size_t add(block_t *block, uintptr_t base, size_t size, const char *path) {
  size_t number = 1;
  pthread_mutex_lock(&lock);
  for (;; number++) {
    slot_t *slot = slot_at(block, number);
    if (!slot) {
      block_t *last = block, *fresh = calloc(1, sizeof *fresh), *next;
      if (!fresh) break;
      while ((next = atomic_load(&last->next))) last = next;
      atomic_store(&last->next, fresh);
      slot = &fresh->slots[0];
    }
    if (atomic_load(&slot->base)) continue;
    if (!keep_path(slot, path)) break;
    atomic_store(&slot->size, size);
    atomic_store(&slot->base, base);
    pthread_mutex_unlock(&lock);
    return number;
  }
  pthread_mutex_unlock(&lock);
  return 0;
}

static void forget(block_t *block, size_t number) {
  if (!number) return;
  pthread_mutex_lock(&lock);
  slot_t *slot = slot_at(block, number);
  if (slot) atomic_store(&slot->base, 0);
  pthread_mutex_unlock(&lock);
}

size_t cs_mapping_add(const void *base, size_t size, const char *path) {
  return add(&mappings, (uintptr_t)base, size, path);
}
void cs_mapping_remove(size_t mapping) { forget(&mappings, mapping); }

size_t cs_temporary_add(const char *path) { return add(&temporaries, 1, 0, path); }
void cs_temporary_remove(size_t temporary) { forget(&temporaries, temporary); }

void cs_remove_temporaries(void) {
  const int before = errno;
  for (block_t *block = &temporaries; block; block = atomic_load(&block->next))
    for (int index = 0; index < slots_per_block; index++)
      if (atomic_load(&block->slots[index].base)) unlink(atomic_load(&block->slots[index].path));
  errno = before;
}

size_t cs_rename_all(char *const *from, char *const *to, size_t count) {
  for (size_t index = 0; index < count; index++)
    if (rename(from[index], to[index]) != 0) return index;
  return count;
}

void cs_start_writing(int descriptor) {
#if defined(__linux__)
  sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
  (void)descriptor;
#endif
}

static volatile sig_atomic_t lost_page_code = 2;

static void put(const char *text) {
  const ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written;  // there is nobody else to tell
}

static void lost_page(int signal_number, siginfo_t *info, void *context) {
  (void)context;
  const uintptr_t address = (uintptr_t)info->si_addr;
  for (block_t *block = &mappings; block; block = atomic_load(&block->next))
    for (int index = 0; index < slots_per_block; index++) {
      const slot_t *slot = &block->slots[index];
      const uintptr_t base = atomic_load(&slot->base);
      if (!base || address < base || address - base >= atomic_load(&slot->size)) continue;
      put("error: ");
      put(atomic_load(&slot->path));
      put(": a part that was in use is gone; expected a file that nobody truncates or rewrites during a run\n");
      cs_remove_temporaries();
      _exit(lost_page_code);
    }
  // Not ours: the instruction is repeated with the default action, which ends the program.
  signal(signal_number, SIG_DFL);
}

void cs_exit_on_lost_pages(int exit_code) {
  lost_page_code = exit_code;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = lost_page;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, NULL);
}
