#!/usr/bin/env bash
# Scores 1000 pictures of 500 x 375 with maps of 20 classes and background by evaluate --maps and by NumPy and scikit-learn, in
# turns, three times each, and compares time, memory and figures.
#   Benchmarks/peers/score_maps.sh PYTHON PROGRAM [PICTURES]
set -euo pipefail

python=$1 program=$2 pictures=${3:-1000}
here=$(cd "$(dirname "$0")" && pwd)
tree=${TMPDIR:-/tmp}/score-maps-$pictures
[ -f "$tree/VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt" ] ||
  "$python" "$here/score_maps.py" --make "$tree" --pictures "$pictures"

# Seconds and the most memory of a command, on file descriptor 3.
measured() {
  "$python" - "$@" <<'EOF'
import os, resource, subprocess, sys, time
start = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{time.monotonic() - start:.2f} {used.ru_maxrss / 1024:.0f} {used.ru_utime + used.ru_stime:.2f}")
EOF
}

for turn in 1 2 3; do
  read -r ours memory cpu < <(measured "$program" evaluate --dataset voc2012 --data "$tree" --maps "$tree/maps" --output "$tree/ours.json")
  read -r peer peer_memory peer_cpu < <(measured "$python" "$here/score_maps.py" "$tree" "$tree/maps" --json "$tree/peer.json")
  echo "turn $turn: ours $ours s ($cpu s of CPU, $memory MiB), NumPy and scikit-learn $peer s ($peer_cpu s, $peer_memory MiB), ratio $("$python" -c "print(f'{$peer / $ours:.1f}')")"
done
"$python" - "$tree" <<'EOF'
import json, sys
ours = json.load(open(sys.argv[1] + "/ours.json"))["metrics"]
peer = json.load(open(sys.argv[1] + "/peer.json"))
worst = max(abs(ours[name]["value"] - value) for name, value in peer.items() if name in ours)
print(f"largest difference of a figure: {worst:.1e}")
assert worst < 1e-6
EOF
