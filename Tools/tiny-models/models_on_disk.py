"""The models in folders as diffusers lays them out."""

from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from common import made_by, read_json
from picture_models import FAMILIES
from tiny_cogvideox import TinyCogVideoX

CLASSES = {
    "FluxPipeline": FAMILIES["flux"],
    "StableDiffusion3Pipeline": FAMILIES["sd3"],
    "CogVideoXPipeline": TinyCogVideoX,
}


def pipeline_class(folder: Path) -> str:
    """The name in model_index.json; ends the program when it is none of the tiny models'."""
    name = read_json(made_by("export.py", folder) / "model_index.json")["_class_name"]
    if name not in CLASSES:
        raise SystemExit(f"error: {folder} is a {name}, expected one of {', '.join(CLASSES)}")
    return name


def open_pipeline(folder: Path, device: str) -> DiffusionPipeline:
    """In float32."""
    pipeline_class(folder)
    return DiffusionPipeline.from_pretrained(folder, dtype=torch.float32).to(device)
