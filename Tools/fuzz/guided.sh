#!/usr/bin/env bash
# Runs readers under libFuzzer and AddressSanitizer, which come with the Swift toolchain, for so many inputs each; new
# inputs that reach new code are kept in .build-fuzz/corpus, smallest first.
#   Tools/fuzz/guided.sh INPUTS [READER…]
set -euo pipefail
cd "$(dirname "$0")/../.."

inputs=${1:?usage: Tools/fuzz/guided.sh INPUTS [READER…]}
shift
build=.build-fuzz
export ASAN_OPTIONS=detect_leaks=0  # what main holds is no leak
swift_library=$(swift -print-target-info | sed -nE 's/.*"runtimeResourcePath": "(.*)".*/\1/p')
runtime=$(find "$swift_library/clang/lib" "$(dirname "$swift_library")/clang" -name 'libclang_rt.fuzzer_no_main-*.a' 2>/dev/null | head -n 1)
[ -n "$runtime" ] || { echo "guided.sh: this toolchain has no libFuzzer" >&2; exit 1; }

# Coverage of our own readers; Swift and C alike.
swift build -c release --sanitize=address --scratch-path "$build" --product fuzz \
  -Xswiftc -DLIBFUZZER -Xswiftc -sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp \
  -Xcc -fsanitize-coverage=inline-8bit-counters,pc-table,trace-cmp \
  -Xlinker "$runtime" -Xlinker -lstdc++

readers=("$@")
[ "${#readers[@]}" -gt 0 ] || mapfile -t readers < <(ls Tools/fuzz/corpus)
for reader in "${readers[@]}"; do
  mkdir -p "$build/corpus/$reader"
  FUZZ_READER=$reader "$build/release/fuzz" -runs="$inputs" -timeout=10 -rss_limit_mb=4096 -max_len=16384 \
    -artifact_prefix="$build/$reader-" -print_final_stats=1 "$build/corpus/$reader" "Tools/fuzz/corpus/$reader" \
    2>&1 | grep -E 'FOUND|ERROR|SUMMARY|artifact|stat::number_of_executed|stat::average|DONE' | sed "s/^/$reader: /"
done
