// What sharing a run among processes needs of MPI, whose names are macros over Open MPI's own.
#pragma once
#include <mpi.h>

static inline int cmpi_start(int *index, int *count) {
  // Threads of the pool compute, and only the first one asks MPI for anything.
  int granted = 0;
  if (MPI_Init_thread(0, 0, MPI_THREAD_FUNNELED, &granted) != MPI_SUCCESS) return -1;
  return MPI_Comm_rank(MPI_COMM_WORLD, index) != MPI_SUCCESS || MPI_Comm_size(MPI_COMM_WORLD, count) != MPI_SUCCESS;
}
static inline void cmpi_meet(void) { MPI_Barrier(MPI_COMM_WORLD); }
static inline void cmpi_finish(void) { MPI_Finalize(); }
// Nothing where MPI has not been started, or has ended.
static inline void cmpi_abort(int code) {
  int started = 0, finished = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&finished);
  if (started && !finished) MPI_Abort(MPI_COMM_WORLD, code);
}
