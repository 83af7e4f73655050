"""Writes held-out scenes with masks, and the plan by which concept maps are measured on them.

in:   nothing
out:  OUT/NNN.png            pictures, 128 x 128
      OUT/NNN_mask.png       label maps, 8-bit with a palette: a pixel is an index in "label_names"
      OUT/manifest.json      what is in each scene, and its full caption
      OUT/evaluation.json    per scene: prompt, concepts (its words, an object and a background it
                             does not have) and seed of the noise; the noise levels

The default seeds give tiny-flux's embedded scenes, pixel by pixel; tiny-sd3's are
`--family sd3 --count 50 --first-seed 62000000`.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from captions import full_caption
from common import argument_parser, write_json
from drawing import render
from scenes import BACKGROUNDS, HELD_OUT_SEED, OBJECTS, SIZE, WORDS, Scene, make_scene
from sizes import PACKED_NOISE_SHAPES, TEXT_TOKENS

NOISE_LEVELS = [0.3, 0.5, 0.7, 0.85]


def palette() -> list[int]:
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(WORDS)] = np.random.default_rng(3).integers(40, 255, (len(WORDS), 3))
    return colours.ravel().tolist()


def describe(scene: Scene, labels: np.ndarray, name: str) -> dict[str, Any]:
    """An entry of manifest.json."""
    return {
        "image": f"{name}.png",
        "mask": f"{name}_mask.png",
        "seed": scene.seed,
        "caption": full_caption(scene),
        "words": {str(WORDS.index(word)): word for word in scene.words},
        "pixels": {word: int((labels == WORDS.index(word)).sum()) for word in scene.words},
        "objects": [thing.word for thing in scene.objects],
        "backgrounds": list(scene.backgrounds),
        "colors": {thing.word: thing.colour for thing in scene.objects},
    }


def plan(scene: Scene, name: str) -> dict[str, Any]:
    """An entry of evaluation.json."""
    return {"image": f"{name}.png", "prompt": full_caption(scene), **concepts_and_noise(scene)}


def concepts_and_noise(scene: Scene) -> dict[str, Any]:
    noise_seed = scene.seed - HELD_OUT_SEED
    r = random.Random(noise_seed)
    absent_object = r.choice([word for word in OBJECTS if word not in scene.words])
    absent_background = r.choice([word for word in BACKGROUNDS if word not in scene.words])
    concepts = [*scene.words, absent_object, absent_background]
    return {"concepts": concepts, "noise_seed": noise_seed}


def save_mask(labels: np.ndarray, path: Path) -> None:
    mask = Image.fromarray(labels).convert("P")
    mask.putpalette(palette())
    mask.save(path, optimize=True)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--out", type=Path, help="folder to write (default: WORK/scenes)")
    parser.add_argument(
        "--family",
        choices=["flux", "sd3"],
        default="flux",
        help="model to measure: shape of its noise",
    )
    parser.add_argument("--count", type=int, default=100, help="scenes")
    parser.add_argument("--first-seed", type=int, default=61_000_000, help="seed of the first")
    args = parser.parse_args()
    out: Path = args.out or args.work / "scenes"
    out.mkdir(parents=True, exist_ok=True)
    descriptions, plans = [], []
    for index in range(args.count):
        scene, name = make_scene(args.first_seed + index), f"{index:03d}"
        picture, labels = render(scene)
        Image.fromarray(picture).save(out / f"{name}.png", optimize=True)
        save_mask(labels, out / f"{name}_mask.png")
        descriptions.append(describe(scene, labels, name))
        plans.append(plan(scene, name))
    manifest = {
        "size": SIZE,
        "label_names": WORDS,
        "background_names": BACKGROUNDS,
        "object_names": OBJECTS,
        "scenes": descriptions,
    }
    write_json(out / "manifest.json", manifest)
    evaluation: dict[str, Any] = {"noise_levels": NOISE_LEVELS}
    if args.family in PACKED_NOISE_SHAPES:
        evaluation["noise_shape"] = PACKED_NOISE_SHAPES[args.family]
    evaluation |= {"max_sequence_length": TEXT_TOKENS, "scenes": plans}
    write_json(out / "evaluation.json", evaluation)
    print(f"{args.count} scenes in {out}")


if __name__ == "__main__":
    main()
