"""Writes a trained model as a folder in the layout of diffusers, in bfloat16.

in:   WORK/FAMILY.pt, WORK/vae/ or WORK/video-vae/, WORK/tokenizers/
out:  OUT/    what diffusers' from_pretrained and `concept-attention --model` read, with
              concept_attention.json: the settings that suit the model
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLCogVideoX
from transformers import T5TokenizerFast

import tiny_cogvideox
import tiny_flux
import tiny_sd3
from clips import CLIP_SIZE, FRAMES
from common import argument_parser, made_by, number_list, write_json
from picture_model import Tokenizers
from picture_models import FAMILIES
from scenes import SIZE
from sizes import TEXT_TOKENS
from training import Trainee

CLIP_SETTINGS = {"width": CLIP_SIZE, "height": CLIP_SIZE, "frames": FRAMES, "steps": 30, "guidance": 5}
# The content of concept_attention.json, but for the layers and the length of text.
SETTINGS: dict[str, dict[str, Any]] = {
    "flux": {"width": SIZE, "height": SIZE, "steps": 24, "guidance": 0, "true_cfg": 3},
    "sd3": {"width": SIZE, "height": SIZE, "steps": 24, "guidance": 3},
    "cogvideox": CLIP_SETTINGS,
}
LAYERS = {"flux": [0, 2], "sd3": [1, 3], "cogvideox": [0, 1]}
NAMES = {"flux": "tiny-flux", "sd3": "tiny-sd3", "cogvideox": "tiny-cogvideox"}


def untrained(family: str, tokenizers: Path) -> Trainee:
    if family == "cogvideox":
        tokenizer = T5TokenizerFast.from_pretrained(tokenizers / "clips")
        model = tiny_cogvideox.TinyCogVideoX.new(tokenizer)
        return Trainee(model, model.inner_dim)
    model = FAMILIES[family].new(Tokenizers.load(tokenizers))
    return Trainee(model, model.transformer.inner_dim)


def autoencoder(family: str, work: Path) -> torch.nn.Module:
    if family == "cogvideox":
        folder = made_by("train_vae.py clips", work / "video-vae")
        vae = AutoencoderKLCogVideoX.from_pretrained(folder)
    else:
        vae = AutoencoderKL.from_pretrained(made_by("train_vae.py pictures", work / "vae"))
    vae.register_to_config(_name_or_path="")  # not where it lay
    return vae


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("family", choices=SETTINGS, help="which model")
    parser.add_argument("--out", type=Path, help="folder to write (default: WORK/tiny-FAMILY)")
    parser.add_argument(
        "--weights", choices=["average", "current"], default="average", help="which to take"
    )
    parser.add_argument("--layers", type=number_list, help="blocks to take concept maps from")
    args = parser.parse_args()
    out: Path = args.out or args.work / NAMES[args.family]
    tokenizers = made_by("make_tokenizers.py", args.work / "tokenizers")
    script = "train_cogvideox.py" if args.family == "cogvideox" else f"train_flow.py {args.family}"
    weights = made_by(script, args.work / f"{args.family}.pt")
    checkpoint = torch.load(weights, map_location="cpu", weights_only=True)
    trainee = untrained(args.family, tokenizers)
    trainee.load_state_dict(checkpoint["state"][args.weights])
    pipeline = trainee.model.pipeline(autoencoder(args.family, args.work))
    pipeline.to(torch.bfloat16).save_pretrained(out)
    modules = {"flux": tiny_flux, "sd3": tiny_sd3, "cogvideox": tiny_cogvideox}
    modules[args.family].copy_tokenizer_files(tokenizers, out)
    settings = SETTINGS[args.family] | {
        "max_sequence_length": TEXT_TOKENS,
        "layers": args.layers or LAYERS[args.family],
        "noise_level": 0.5,
    }
    write_json(out / "concept_attention.json", settings)
    print(f"step {checkpoint['step']} in {out}")


if __name__ == "__main__":
    main()
