"""Draws with diffusers' own pipeline, to look at and to compare with.

in:   an exported model
out:  OUT    a PNG: pictures in rows of six, number i with the seed SEED + i; of clips each in a
             row, every second frame

With --against the first picture, or clip, is compared with one that another program made with the
same prompt, seed and settings, and the largest difference is printed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from clips import CLIP_SIZE, FRAMES
from common import argument_parser, read_json
from device import Device, add_device_arguments
from models_on_disk import open_pipeline
from scenes import SIZE
from sizes import TEXT_TOKENS

PROMPTS = [
    "a house on the grass",
    "star and boat",
    "tree",
    "a sun above a boat on the sea under the sky",
    "a white moon above a tree at night",
    "a red mushroom on the grass",
    "a pink heart on the snow",
    "flower, sand, sky",
    "a purple star in the night",
    "a house and a tree on grass under the sky",
    "sea, night",
    "an orange triangle next to a blue square on the sand",
]
CLIP_PROMPTS = [
    "a boat drifting right on the sea under the sky",
    "a sun rising on the sea under the sky",
    "a red circle bobbing on the grass",
    "a yellow star passing behind a tree on the grass under the night",
    "a boat bobbing on the sea under the night",
    "a mushroom on the snow",
]
COLUMNS = 6


def sheet(pictures: list[np.ndarray], columns: int) -> Image.Image:
    height, width, _ = pictures[0].shape
    rows = -(-len(pictures) // columns)
    whole = np.full((rows * height, min(len(pictures), columns) * width, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        y, x = index // columns * height, index % columns * width
        whole[y : y + height, x : x + width] = picture
    return Image.fromarray(whole)


def settings(family: str, guidance: float, count: int) -> dict[str, Any]:
    """The pipeline's own arguments."""
    match family:
        case "FluxPipeline":
            return {"negative_prompt": [""] * count, "true_cfg_scale": guidance, "guidance_scale": 0}
        case "CogVideoXPipeline":
            return {"guidance_scale": guidance, "num_frames": FRAMES}
    return {"guidance_scale": guidance}


def difference(pictures: np.ndarray, path: Path) -> str:
    """Of the pictures [frames, height, width, 3] from a PNG or a folder with PNGs of the frames."""
    files = sorted(path.glob("*.png")) if path.is_dir() else [path]
    other = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    gap = np.abs(pictures.astype(int) - other.astype(int))
    return f"largest difference {gap.max()} of 255, mean {gap.mean():.4f}"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="exported folder")
    parser.add_argument("--out", type=Path, help="file to write (default: WORK/samples.png)")
    parser.add_argument("--prompts", nargs="+", metavar="TEXT", help="captions")
    parser.add_argument("--steps", type=int, help="steps; those of the model unless given")
    parser.add_argument("--guidance", type=float, help="scale of classifier-free guidance")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture's noise")
    parser.add_argument("--against", type=Path, metavar="PNG", help="picture or folder of frames")
    add_device_arguments(parser)
    args = parser.parse_args()
    device = Device.from_arguments(args)
    pipeline = open_pipeline(args.model, device.name)
    family = type(pipeline).__name__
    own = read_json(args.model / "concept_attention.json")
    is_video = family == "CogVideoXPipeline"
    prompts = args.prompts or (CLIP_PROMPTS if is_video else PROMPTS)
    side = CLIP_SIZE if is_video else SIZE
    guidance = args.guidance or own.get("true_cfg") or own["guidance"]
    made = pipeline(
        prompts,
        height=side,
        width=side,
        num_inference_steps=args.steps or own["steps"],
        max_sequence_length=TEXT_TOKENS,
        generator=[torch.Generator().manual_seed(args.seed + i) for i in range(len(prompts))],
        output_type="np",
        **settings(family, guidance, len(prompts)),
    )
    drawn = made.frames if is_video else made.images[:, None]
    drawn = (np.asarray(drawn) * 255).round().clip(0, 255).astype(np.uint8)
    shown = drawn[:, ::2] if is_video else drawn
    out: Path = args.out or args.work / "samples.png"
    pictures = [picture for frames in shown for picture in frames]
    sheet(pictures, shown.shape[1] if is_video else COLUMNS).save(out)
    print(out)
    if args.against:
        print(difference(drawn[0], args.against))


if __name__ == "__main__":
    main()
