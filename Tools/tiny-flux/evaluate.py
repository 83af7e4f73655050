"""Measures concept maps against masks, as `concept-attention evaluate` does, but in PyTorch.

in:   an exported model; a folder of scenes as make_scenes.py writes it
out:  OUT    the figures as JSON, in the form of `concept-attention evaluate`; the table is printed

Every picture is encoded, mixed with noise at each level and shown to the model once per level. The
maps of a block are put through a softmax over the concepts and averaged over blocks: each alone
(layerN), all of them (all) and the chosen ones (sel). With --against the figures are compared to
those of another run, and a difference above the tolerance ends the program with status 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image

from common import argument_parser, made_by, number_list, read_json, write_json
from concept_maps import SPACES, concept_maps
from device import Device, add_device_arguments
from metrics import METRICS, Truth, score
from models import TinyFlux, encode_images, image_positions, image_tensor, pack
from sizes import GRID

HEADINGS = ("acc", "amIoU", "mIoU", "mAP", "o.amI", "o.mIoU", "o.mAP")
Table = dict[str, dict[str, dict[str, float]]]  # row, space, metric


@dataclass(frozen=True)
class SceneMaps:
    """Maps of one scene by space, [blocks, noise levels, concepts, tokens], after the softmax."""

    truth: Truth
    maps: dict[str, np.ndarray]


def scene_maps(model_folder: Path, scenes_folder: Path, device: Device) -> Iterator[SceneMaps]:
    model = TinyFlux.load(made_by("export.py", model_folder)).to(device.name)
    vae = AutoencoderKL.from_pretrained(model_folder, subfolder="vae").float().to(device.name)
    manifest, plan = (
        read_json(made_by("make_scenes.py", scenes_folder / name))
        for name in ("manifest.json", "evaluation.json")
    )
    masks = {entry["image"]: entry["mask"] for entry in manifest["scenes"]}
    levels = torch.tensor(plan["noise_levels"], device=device.name)
    for entry in plan["scenes"]:
        labels = np.asarray(Image.open(scenes_folder / masks[entry["image"]]))
        yield SceneMaps(
            Truth.from_labels(entry["concepts"], labels, manifest["label_names"], GRID),
            noised_maps(model, vae, scenes_folder / entry["image"], entry, levels),
        )


@torch.no_grad()
def noised_maps(
    model: TinyFlux, vae: AutoencoderKL, image: Path, entry: dict[str, Any], levels: torch.Tensor
) -> dict[str, np.ndarray]:
    """All noise levels as one batch."""
    picture = np.asarray(Image.open(image).convert("RGB"))
    clean = pack(encode_images(vae, image_tensor(picture[None]).to(model.device)))
    generator = torch.Generator().manual_seed(entry["noise_seed"])
    noise = torch.randn(clean.shape, generator=generator).to(model.device)
    text, pooled = model.encode_prompts([entry["prompt"]])
    count = len(levels)
    blocks = concept_maps(
        model.transformer,
        image=torch.lerp(clean, noise, levels[:, None, None]),
        text=text.expand(count, -1, -1),
        pooled=pooled.expand(count, -1),
        levels=levels,
        positions=image_positions(GRID).to(model.device),
        concepts=model.encode_words(entry["concepts"]).expand(count, -1, -1),
    )
    stacked = {space: torch.stack([maps[space] for maps in blocks]) for space in SPACES}
    return {space: maps.softmax(2).cpu().numpy() for space, maps in stacked.items()}


def evaluate(
    model: Path, scenes: Path, selected: list[int] | None, device: Device
) -> tuple[int, Table]:
    """The scenes measured, and the means over them."""
    values: dict[tuple[str, str, str], list[float]] = {}
    plan = read_json(made_by("make_scenes.py", scenes / "evaluation.json"))
    count = 0
    for scene in scene_maps(model, scenes, device):
        count += 1
        for space, maps in scene.maps.items():
            rows = {"all": list(range(len(maps)))}
            rows |= {f"layer{index}": [index] for index in range(len(maps))}
            rows |= {"sel": selected} if selected else {}
            for name, blocks in rows.items():
                for index, level in enumerate(plan["noise_levels"]):
                    figures = score(maps[blocks, index].mean(0), scene.truth)
                    for metric, value in figures.items():
                        key = (f"{name} t={level}", space, metric)
                        values.setdefault(key, []).append(value)
    table: Table = {}
    for (row, space, metric), entries in values.items():
        mean = round(float(np.mean(entries)), 4)
        table.setdefault(row, {}).setdefault(space, {})[metric] = mean
    return count, table


def text(table: Table) -> str:
    lines = [" " * 18 + "".join(f"|{space:^49}" for space in SPACES)]
    lines.append(" " * 18 + "".join("|" + "".join(f"{h:>7}" for h in HEADINGS) for _ in SPACES))
    for row, spaces in table.items():
        figures = ([spaces[space].get(metric, np.nan) for metric in METRICS] for space in SPACES)
        columns = ("|" + "".join(f"{value:7.3f}" for value in group) for group in figures)
        lines.append(f"{row:18}" + "".join(columns))
    return "\n".join(lines)


def largest_difference(table: Table, other: Table) -> tuple[float, str]:
    """The largest difference of two tables, infinite where one has a figure and the other not."""

    def flat(table: Table) -> dict[str, float]:
        return {
            f"{row}, {space}, {metric}": value
            for row, spaces in table.items()
            for space, metrics in spaces.items()
            for metric, value in metrics.items()
        }

    one, two = flat(table), flat(other)
    missing = float("inf")
    return max((abs(one.get(n, missing) - two.get(n, -missing)), n) for n in one | two)


def selected_layers(model: Path) -> list[int] | None:
    path = model / "concept_attention.json"
    return read_json(path).get("layers") if path.exists() else None


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, help="exported folder (default: WORK/tiny-flux)")
    parser.add_argument("--scenes", type=Path, help="folder of scenes (default: WORK/scenes)")
    parser.add_argument("--out", type=Path, help="file to write (default: WORK/metrics.json)")
    parser.add_argument(
        "--layers", type=number_list, help="blocks of `sel`; those of the model unless given"
    )
    parser.add_argument("--against", type=Path, metavar="JSON", help="figures to compare with")
    parser.add_argument("--tolerance", type=float, default=0.005, help="difference allowed")
    add_device_arguments(parser)
    args = parser.parse_args()
    model: Path = args.model or args.work / "tiny-flux"
    device = Device.from_arguments(args)
    layers = args.layers or selected_layers(model)
    count, table = evaluate(model, args.scenes or args.work / "scenes", layers, device)
    print(text(table))
    out = args.out or args.work / "metrics.json"
    write_json(out, {"n": count, "prompt": "caption", "table": table})
    print(out)
    if args.against:
        difference, place = largest_difference(table, read_json(args.against)["table"])
        print(f"largest difference to {args.against}: {difference:.4f} ({place})")
        raise SystemExit(int(difference > args.tolerance + 1e-9))


if __name__ == "__main__":
    main()
