#!/usr/bin/env bash
# Shows that 2 processes under mpirun find what 1 finds, and that a run goes on when one of its processes was killed.
#   Tools/mpi/check.sh PROGRAM
set -euo pipefail

program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run=(evaluate --dataset scenes --limit 24 --method concept-attention,centre)
# Containers run as root and may have fewer cores than processes.
mpi=(mpirun --allow-run-as-root --oversubscribe -n 2)

same() {
  for name in results.json table.md table.csv classes.csv report.html plot.svg; do cmp "$1/$name" "$2/$name"; done
}

"$program" "${run[@]}" --output "$folder/one" >/dev/null
"${mpi[@]}" "$program" "${run[@]}" --mpi --output "$folder/two" >/dev/null
[ -s "$folder/two/concept-attention/pictures-1.jsonl" ] || { echo "the second process did nothing"; exit 1; }
same "$folder/one" "$folder/two"
echo "2 processes find what 1 finds"

"${mpi[@]}" "$program" "${run[@]}" --mpi --output "$folder/lost" >/dev/null 2>&1 &
job=$!
lines="$folder/lost/concept-attention/pictures-1.jsonl"
until [ "$(wc -l 2>/dev/null <"$lines" || echo 0)" -gt 3 ]; do sleep 0.02; done
children=$(pgrep -P "$job" || true)
[ -n "$children" ] || { echo "the run was over before anything could be killed"; exit 1; }
kill -KILL "$(tail -n 1 <<<"$children")"
wait "$job" && { echo "a run without one of its processes ended well"; exit 1; }
kept=$(cat "$folder"/lost/concept-attention/pictures*.jsonl | wc -l)
"${mpi[@]}" "$program" "${run[@]}" --mpi --output "$folder/lost" >/dev/null 2>"$folder/errors"
grep -q "going on after" "$folder/errors"
same "$folder/one" "$folder/lost"
echo "a process was killed; $((kept - 2)) of 24 pictures were kept, and the run went on to the same figures"
