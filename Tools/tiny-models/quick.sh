#!/usr/bin/env bash
# The whole recipe of every model with tiny numbers, to see that everything fits together: some five minutes on one CPU
# core. The models it makes draw nothing yet. Usage: quick.sh [WORK]; PYTHON names the Python that has requirements.txt
# installed.
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
run make_scenes.py --count 4 --family sd3 --out "$work/scenes-sd3"
run make_clip_scenes.py --count 2
run make_pool.py --count 160 --workers 1
run make_clips.py --count 80 --workers 1
run train_vae.py pictures --steps 24
run train_vae.py clips --steps 8
run encode_pool.py --count-128 128
run encode_clips.py
run train_flow.py flux --steps-64 16 --steps-128 8 --batch-64 8 --batch-128 4
run train_flow.py sd3 --steps-64 16 --steps-128 8 --batch-64 8 --batch-128 4
run train_cogvideox.py --steps-frame 16 --steps-clip 4 --batch-frame 8 --batch-clip 4
for family in flux sd3 cogvideox; do
  case $family in
    flux) scenes=scenes ;;
    sd3) scenes=scenes-sd3 ;;
    cogvideox) scenes=clip-scenes ;;
  esac
  run export.py $family
  run sample.py --model "$work/tiny-$family" --prompts "a boat on the sea" "a star at night" --steps 4
  run rank_layers.py --model "$work/tiny-$family" --scenes "$work/$scenes" --top 3
  run evaluate.py --model "$work/tiny-$family" --scenes "$work/$scenes"
done
