"""Measures concept maps against masks, as `concept-attention evaluate` does, but in PyTorch.

in:   an exported model; a folder of scenes as make_scenes.py or make_clip_scenes.py writes it
out:  OUT    the figures as JSON, in the form of `concept-attention evaluate`; the table is printed

Every picture is encoded, mixed with noise at each level and shown to the model once per level. The
maps of a block are put through a softmax over the concepts and averaged over blocks: each alone
(layerN), all of them (all) and the chosen ones (sel). A clip is scored frame by frame, each with
the map of its latent frame, and is the mean of its frames. With --against the figures are compared
to those of another run, and a difference above the tolerance ends the program with status 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX
from PIL import Image
from torch import Tensor

from autoencoder import encode_images, image_tensor
from common import argument_parser, made_by, number_list, read_json, write_json
from device import Device, add_device_arguments
from metrics import METRICS, Truth, score
from models_on_disk import CLASSES, pipeline_class
from picture_model import SPACES, PictureModel
from sizes import GRID
from tiny_cogvideox import CLIP_GRID, TinyCogVideoX
from video_autoencoder import TIME, clip_tensor, encode_clips

HEADINGS = ("acc", "amIoU", "mIoU", "mAP", "o.amI", "o.mIoU", "o.mAP")
Table = dict[str, dict[str, dict[str, float]]]  # row, space, metric


@dataclass(frozen=True)
class SceneMaps:
    """Maps of one scene by space, [blocks, noise levels, concepts, tokens], after the softmax."""

    truths: list[Truth]  # of each frame; a picture has one
    maps: dict[str, np.ndarray]

    def score(self, maps: np.ndarray) -> dict[str, float]:
        """Of maps [concepts, tokens], the mean over frames."""
        tokens = self.truths[0].counts.shape[1]
        values: dict[str, list[float]] = {}
        for frame, truth in enumerate(self.truths):
            first = (frame + TIME - 1) // TIME * tokens  # of the latent frame
            for name, value in score(maps[:, first : first + tokens], truth).items():
                values.setdefault(name, []).append(value)
        return {name: float(np.mean(v)) for name, v in values.items()}


def scene_maps(model_folder: Path, scenes_folder: Path, device: Device) -> Iterator[SceneMaps]:
    kind = CLASSES[pipeline_class(model_folder)]
    model = kind.load(model_folder).to(device.name)
    is_video = kind is TinyCogVideoX
    vae_class = AutoencoderKLCogVideoX if is_video else AutoencoderKL
    vae = vae_class.from_pretrained(model_folder, subfolder="vae").float().to(device.name)
    manifest, plan = (
        read_json(made_by("make_scenes.py", scenes_folder / name))
        for name in ("manifest.json", "evaluation.json")
    )
    name, mask_name = ("frames", "masks") if is_video else ("image", "mask")
    if name not in plan["scenes"][0]:
        raise SystemExit(f"error: {scenes_folder} does not have what {model_folder} draws")
    masks = {entry[name]: entry[mask_name] for entry in manifest["scenes"]}
    levels = torch.tensor(plan["noise_levels"], device=device.name)
    grid = CLIP_GRID if is_video else GRID
    for entry in plan["scenes"]:
        labels = pictures(scenes_folder / masks[entry[name]], "P")
        frames = pictures(scenes_folder / entry[name], "RGB")
        yield SceneMaps(
            [Truth.from_labels(entry["concepts"], x, manifest["label_names"], grid) for x in labels],
            (clip_maps if is_video else picture_maps)(model, vae, frames, entry, levels),
        )


def pictures(path: Path, mode: str) -> np.ndarray:
    """Of a file, or of all in a folder in order of their names, [frames, height, width ...]."""
    files = sorted(path.glob("*.png")) if path.is_dir() else [path]
    return np.stack([np.asarray(Image.open(file).convert(mode)) for file in files])


@torch.no_grad()
def picture_maps(
    model: PictureModel,
    vae: AutoencoderKL,
    picture: np.ndarray,
    entry: dict[str, Any],
    levels: Tensor,
) -> dict[str, np.ndarray]:
    """All noise levels as one batch."""
    clean = encode_images(vae, image_tensor(picture).to(model.device))
    generator = torch.Generator().manual_seed(entry["noise_seed"])
    noise = torch.randn(model.noise_shape, generator=generator).to(model.device)
    text, pooled = model.encode_prompts([entry["prompt"]])
    count = len(levels)
    blocks = model.concept_maps(
        torch.lerp(clean, model.latents_of_noise(noise), levels[:, None, None, None]),
        text.expand(count, -1, -1),
        pooled.expand(count, -1),
        levels,
        model.encode_words(entry["concepts"]),
    )
    return after_softmax(blocks)


@torch.no_grad()
def clip_maps(
    model: TinyCogVideoX,
    vae: AutoencoderKLCogVideoX,
    frames: np.ndarray,
    entry: dict[str, Any],
    levels: Tensor,
) -> dict[str, np.ndarray]:
    """All noise levels as one batch; a level is the noise's factor."""
    clean = encode_clips(vae, clip_tensor(frames[None]).to(model.device)).transpose(1, 2)
    generator = torch.Generator().manual_seed(entry["noise_seed"])
    noise = torch.randn(clean.shape, generator=generator).to(model.device)
    timesteps = model.nearest_timesteps(levels)
    mixed = model.noised(clean, noise, timesteps)[0]
    text = model.encode_prompts([entry["prompt"]]).expand(len(levels), -1, -1)
    return after_softmax(
        model.concept_maps(mixed, text, timesteps, model.encode_words(entry["concepts"]))
    )


def after_softmax(blocks: list[dict[str, Tensor]]) -> dict[str, np.ndarray]:
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
                    figures = scene.score(maps[blocks, index].mean(0))
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
    parser.add_argument("--model", type=Path, required=True, help="exported folder")
    parser.add_argument("--scenes", type=Path, help="folder of scenes (default: WORK/scenes)")
    parser.add_argument("--out", type=Path, help="file to write (default: WORK/metrics.json)")
    parser.add_argument(
        "--layers", type=number_list, help="blocks of `sel`; those of the model unless given"
    )
    parser.add_argument("--against", type=Path, metavar="JSON", help="figures to compare with")
    parser.add_argument("--tolerance", type=float, default=0.005, help="difference allowed")
    add_device_arguments(parser)
    args = parser.parse_args()
    model: Path = args.model
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
