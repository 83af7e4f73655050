#!/usr/bin/env bash
# The whole recipe with tiny numbers, to see that everything fits together: some two minutes on one CPU core. The model it
# makes draws nothing yet. Usage: quick.sh [WORK]; PYTHON names the Python that has requirements.txt installed.
set -euo pipefail

work=${1:-work-quick}
mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$(dirname "$0")"

run() {
  local script=$1
  shift
  echo "--- $script $*"
  "${PYTHON:-python3}" "$script" --work "$work" "$@"
}

run make_tokenizers.py --captions 2000
run make_scenes.py --count 4
run make_pool.py --count 160 --workers 1
run train_vae.py --steps 24
run encode_pool.py --count-128 128
run train_flux.py --steps-64 16 --steps-128 8 --batch-64 8 --batch-128 4
run export.py
run sample.py --prompts "a boat on the sea" "a star at night" --steps 4
run rank_layers.py --scenes "$work/scenes" --top 3
run evaluate.py
