"""Writes held-out clips with masks, and the plan by which concept maps are measured on them.

in:   nothing
out:  OUT/NNN/FF.png          frames, 64 x 64
      OUT/NNN_masks/FF.png    label maps, 8-bit with a palette: a pixel is an index in "label_names"
      OUT/manifest.json       what is in each clip, how it moves, and its full caption
      OUT/evaluation.json     per clip: prompt, concepts (its words, an object and a background it
                              does not have) and seed of the noise; the noise levels, which are
                              the factors of the noise
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clip_captions import full_clip_caption
from clips import CLIP_SIZE, FRAMES, Clip, make_clip
from common import argument_parser, write_json
from drawing import render_clip
from make_scenes import NOISE_LEVELS, concepts_and_noise, save_mask
from scenes import BACKGROUNDS, OBJECTS, WORDS
from sizes import TEXT_TOKENS


def describe(clip: Clip, labels: np.ndarray, name: str) -> dict[str, Any]:
    """An entry of manifest.json."""
    scene = clip.scene
    counts = {word: (labels == WORDS.index(word)).sum((1, 2)).tolist() for word in scene.words}
    return {
        "frames": name,
        "masks": f"{name}_masks",
        "seed": scene.seed,
        "caption": full_clip_caption(clip),
        "words": {str(WORDS.index(word)): word for word in scene.words},
        "pixels": counts,  # by frame
        "objects": [thing.word for thing in scene.objects],
        "backgrounds": list(scene.backgrounds),
        "colors": {thing.word: thing.colour for thing in scene.objects},
        "motions": {t.word: m.kind for t, m in zip(scene.objects, clip.motions)},
        "passes_behind": clip.behind,
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--out", type=Path, help="folder to write (default: WORK/clip-scenes)")
    parser.add_argument("--count", type=int, default=12, help="clips")
    parser.add_argument("--first-seed", type=int, default=61_000_000, help="seed of the first")
    args = parser.parse_args()
    out: Path = args.out or args.work / "clip-scenes"
    descriptions, plans = [], []
    for index in range(args.count):
        clip, name = make_clip(args.first_seed + index), f"{index:03d}"
        frames, labels = render_clip(clip)
        for kind in (name, f"{name}_masks"):
            (out / kind).mkdir(parents=True, exist_ok=True)
        for number, (frame, label) in enumerate(zip(frames, labels)):
            Image.fromarray(frame).save(out / name / f"{number:02d}.png", optimize=True)
            save_mask(label, out / f"{name}_masks" / f"{number:02d}.png")
        descriptions.append(describe(clip, labels, name))
        plans.append(
            {"frames": name, "prompt": full_clip_caption(clip), **concepts_and_noise(clip.scene)}
        )
    manifest = {
        "size": CLIP_SIZE,
        "frame_count": FRAMES,
        "label_names": WORDS,
        "background_names": BACKGROUNDS,
        "object_names": OBJECTS,
        "scenes": descriptions,
    }
    write_json(out / "manifest.json", manifest)
    evaluation = {
        "noise_levels": NOISE_LEVELS,
        "max_sequence_length": TEXT_TOKENS,
        "scenes": plans,
    }
    write_json(out / "evaluation.json", evaluation)
    print(f"{args.count} clips in {out}")


if __name__ == "__main__":
    main()
