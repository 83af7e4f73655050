"""Draws pictures with diffusers' FluxPipeline, to look at.

in:   an exported model
out:  OUT    a PNG, the prompts' pictures in rows of six; number i has the seed SEED + i
"""

from pathlib import Path

import torch
from diffusers import FluxPipeline
from PIL import Image

from common import argument_parser, made_by
from device import Device, add_device_arguments
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
COLUMNS = 6


def contact_sheet(pictures: list[Image.Image]) -> Image.Image:
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (min(len(pictures), COLUMNS) * SIZE, rows * SIZE), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % COLUMNS * SIZE, index // COLUMNS * SIZE))
    return sheet


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, help="exported folder (default: WORK/tiny-flux)")
    parser.add_argument("--out", type=Path, help="file to write (default: WORK/samples.png)")
    parser.add_argument("--prompts", nargs="+", default=PROMPTS, metavar="TEXT", help="captions")
    parser.add_argument("--steps", type=int, default=24, help="steps of the scheduler")
    parser.add_argument("--true-cfg", type=float, default=3.0, help="1 turns guidance off")
    parser.add_argument("--seed", type=int, default=0, help="of the first picture's noise")
    add_device_arguments(parser)
    args = parser.parse_args()
    device = Device.from_arguments(args)
    model = made_by("export.py", args.model or args.work / "tiny-flux")
    pipeline = FluxPipeline.from_pretrained(model, dtype=torch.float32).to(device.name)
    count = len(args.prompts)
    pictures = pipeline(
        args.prompts,
        negative_prompt=[""] * count,
        true_cfg_scale=args.true_cfg,
        guidance_scale=0.0,
        height=SIZE,
        width=SIZE,
        num_inference_steps=args.steps,
        max_sequence_length=TEXT_TOKENS,
        generator=[torch.Generator().manual_seed(args.seed + i) for i in range(count)],
    ).images
    out: Path = args.out or args.work / "samples.png"
    contact_sheet(pictures).save(out)
    print(out)


if __name__ == "__main__":
    main()
