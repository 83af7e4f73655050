"""Writes the trained model as a FLUX.1 folder in the layout of diffusers, in bfloat16.

in:   WORK/flux.pt, WORK/vae/, WORK/tokenizers/
out:  OUT/    what FluxPipeline.from_pretrained and `concept-attention --model` read, with
              concept_attention.json: the settings that suit the model
"""

import argparse
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline

from common import argument_parser, made_by, number_list, write_json
from models import Tokenizers
from scenes import SIZE
from sizes import TEXT_TOKENS
from train_flux import Trainee


def settings(args: argparse.Namespace) -> dict[str, object]:
    """The content of concept_attention.json."""
    return {
        "width": SIZE,
        "height": SIZE,
        "steps": 24,
        "guidance": 0,
        "true_cfg": 3,
        "max_sequence_length": TEXT_TOKENS,
        "layers": args.layers,
        "noise_level": 0.5,
    }


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--out", type=Path, help="folder to write (default: WORK/tiny-flux)")
    parser.add_argument(
        "--weights", choices=["average", "current"], default="average", help="which to take"
    )
    parser.add_argument(
        "--layers", type=number_list, default="0,2", help="double blocks to take concept maps from"
    )
    args = parser.parse_args()
    out: Path = args.out or args.work / "tiny-flux"
    tokenizers = Tokenizers.load(made_by("make_tokenizers.py", args.work / "tokenizers"))
    trainee = Trainee(tokenizers)
    weights = made_by("train_flux.py", args.work / "flux.pt")
    checkpoint = torch.load(weights, map_location="cpu", weights_only=True)
    trainee.load_state_dict(checkpoint["state"][args.weights])
    model = trainee.model
    vae = AutoencoderKL.from_pretrained(made_by("train_vae.py", args.work / "vae"))
    vae.register_to_config(_name_or_path="")  # not where it lay
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False),
        vae=vae,
        text_encoder=model.clip,
        tokenizer=tokenizers.clip,
        text_encoder_2=model.t5,
        tokenizer_2=tokenizers.t5,
        transformer=model.transformer,
    ).to(torch.bfloat16)
    pipeline.save_pretrained(out)
    # FLUX.1 has the files of the older tokenizers too.
    for file in ("tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer_2/spiece.model"):
        shutil.copy(args.work / "tokenizers" / file, out / file)
    write_json(out / "concept_attention.json", settings(args))
    print(f"step {checkpoint['step']} in {out}")


if __name__ == "__main__":
    main()
