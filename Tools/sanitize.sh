#!/usr/bin/env bash
# The tests of kernels and files under sanitizers, each in a build folder of its own, once per instruction set of this CPU:
# the tests of kernels try every set anyway, CK_ISA makes everything else take it too.
#   Tools/sanitize.sh [address|undefined|thread]…
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=("$@")
[ "${#wanted[@]}" -gt 0 ] || wanted=(address undefined thread)
tests='^(Tensor|Formats)Tests\.'
# Decompositions are LAPACK's, golden cases only read files: neither has code of ours that others do not run. AddressSanitizer
# needs more address space than the test of its limit allows.
skipped='Golden|LinearAlgebra|processExits|theLimitOfTheAddressSpace'

run() { # folder, then further arguments of swift test
  local folder=$1
  shift
  swift test -c release --skip-build --disable-testable-imports --disable-xctest --quiet --scratch-path "$folder" \
    --filter "$tests" --skip "$skipped" "$@"
}
# As the program finds them out: Sources/CKernels/isa.c.
has() { lscpu 2>/dev/null | grep -qw "$1"; }
sets() {
  echo generic
  if has avx2 && has fma && has bmi2; then echo avx2; fi
  if has avx512f && has avx512bw && has avx512vl && has avx512dq; then echo avx512; fi
  if has avx512_bf16; then echo avx512bf16; fi
  if has amx_bf16; then echo amx; fi
}

for sanitizer in "${wanted[@]}"; do
  case $sanitizer in
    address)
      swift build -c release --build-tests --sanitize=address --scratch-path .build-asan
      # Exit tests end processes on purpose; what those leave is no leak of ours. Tiles are refused to threads that have a
      # small stack for signals.
      for set in $(sets); do CK_ISA=$set ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0 run .build-asan --sanitize=address; done ;;
    undefined)
      # For C alone: Swift checks its own arithmetic. A finding ends the run with its text.
      swift build -c release --build-tests --scratch-path .build-ubsan \
        -Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined -Xcc -fsanitize-trap=undefined
      for set in $(sets); do
        CK_ISA=$set run .build-ubsan -Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=undefined \
          -Xcc -fsanitize-trap=undefined
      done ;;
    thread)
      # The pool alone first, where nothing is reported falsely. The sanitizer's library wants Swift's dispatch.
      libraries=$(swift -print-target-info | sed -nE 's/.*"runtimeResourcePath": "(.*)".*/\1/p')/linux
      mkdir -p .build-tsan
      clang -O1 -g -fsanitize=thread -ISources/CKernels/include Tools/sanitizers/pool.c Sources/CKernels/pool.c \
        -L"$libraries" -Wl,-rpath,"$libraries" -ldispatch -lBlocksRuntime -lpthread -o .build-tsan/pool
      TSAN_OPTIONS=halt_on_error=1 .build-tsan/pool
      swift build -c release --build-tests --sanitize=thread --scratch-path .build-tsan
      tests='ThreadCountTests' TSAN_OPTIONS="suppressions=$PWD/Tools/sanitizers/thread.supp halt_on_error=1" \
        run .build-tsan --sanitize=thread ;;
    *) echo "sanitize: unknown sanitizer '$sanitizer'" >&2; exit 2 ;;
  esac
done
