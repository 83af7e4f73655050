"""Trains the video model's transformer and text encoder together, by v-prediction.

in:   WORK/clip-latents.safetensors, WORK/tokenizers/clips
out:  WORK/cogvideox.pt    weights, their moving average and the optimisers' state, from which an
                           interrupted run goes on

First on the first latent frame alone, which is a picture, then on whole clips. The loss is the
error of the velocity, the same for all video tokens: no mask, box or position of an object is used.
Steps with captions, tags and matches take turns, as described in training.py; 10 % of the captions
are empty. The matches' loss, a guess whether a word occurs in the clip, makes text tokens look at
the video.
"""

import random
from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import T5TokenizerFast

from checkpoints import step_seed
from clip_captions import clip_caption
from clips import make_clip
from common import argument_parser, made_by
from device import Device, add_device_arguments
from scenes import TRAINING_SEED, WORDS
from tiny_cogvideox import TinyCogVideoX
from training import (
    EMPTY_CAPTIONS,
    MATCH_WEIGHT,
    VALIDATION_ROWS,
    Kind,
    StepLoss,
    Trainee,
    add_training_arguments,
    pick_words,
    presence,
    train,
)

MATCH_TIMESTEPS = (20, 700)
NOISE_SKEW = 0.7  # timesteps are 1000 u^skew with u even: more of the noisy ones


@dataclass(frozen=True)
class Batch:
    """Latents of pool rows with what the model is told about them; the same for the same seed."""

    kind: Kind
    clean: Tensor  # [batch, frames, 16, side, side]
    noise: Tensor
    timesteps: Tensor  # [batch]
    captions: list[str]
    words: list[list[int]]
    present: Tensor  # [batch, TAGS]


def draw_batch(latents: Tensor, frames: int, count: int, seed: int, step: int) -> Batch:
    kind = Kind.of_step(step)
    r = random.Random(step_seed(seed, step))
    generator = torch.Generator().manual_seed(step_seed(seed, step))
    rows = r.choices(range(VALIDATION_ROWS, len(latents)), k=count)
    clips = [make_clip(TRAINING_SEED + row) for row in rows]
    words = [pick_words(clip.scene.words, kind, r) for clip in clips]
    clean = latents[rows, :frames].float()
    even = torch.rand(count, generator=generator)
    low, high = MATCH_TIMESTEPS
    times = low + (high - low) * even if kind is Kind.MATCH else 1000 * even**NOISE_SKEW
    return Batch(
        kind=kind,
        clean=clean,
        noise=torch.randn(clean.shape, generator=generator),
        timesteps=times.long().clamp(max=999),
        captions=["" if r.random() < EMPTY_CAPTIONS else clip_caption(clip, r) for clip in clips],
        words=words,
        present=presence(words, [clip.scene.words for clip in clips]),
    )


def velocity_loss(
    trainee: Trainee, clean: Tensor, noise: Tensor, timesteps: Tensor, text: Tensor
) -> tuple[Tensor, list[Tensor]]:
    mixed, velocity = trainee.model.noised(clean, noise, timesteps)
    prediction, stream = trainee.velocity(mixed, text, timesteps)
    return (prediction - velocity).pow(2).mean(), stream


def losses(trainee: Trainee, batch: Batch, device: Device) -> StepLoss:
    model = trainee.model
    tensors = [x.to(device.name) for x in (batch.clean, batch.noise, batch.timesteps)]
    with device.autocast():
        if batch.kind is Kind.CAPTIONS:
            text = model.encode_prompts(batch.captions)
        else:
            text = model.encode_words(list(WORDS))[torch.tensor(batch.words)]
        error, stream = velocity_loss(trainee, *tensors, text)
    if batch.kind is not Kind.MATCH:
        return StepLoss(error, error.item(), False)
    match = trainee.match_loss(stream, batch.present.to(device.name))
    return StepLoss(error + MATCH_WEIGHT * match, match.item(), True)


@torch.no_grad()
def validate(trainee: Trainee, latents: Tensor, device: Device) -> str:
    """Error on unseen clips at some timesteps, with captions and without."""
    clean = latents[: VALIDATION_ROWS // 2].float().to(device.name)
    count = len(clean)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).to(device.name)
    clips = [make_clip(TRAINING_SEED + row) for row in range(count)]
    captions = [clip_caption(clip, random.Random(row)) for row, clip in enumerate(clips)]
    figures = []
    for timestep in (300, 600, 900):
        timesteps = torch.full((count,), timestep, device=device.name)
        with device.autocast():
            told, untold = (
                velocity_loss(
                    trainee, clean, noise, timesteps, trainee.model.encode_prompts(texts)
                )[0]
                for texts in (captions, [""] * count)
            )
        figures.append(f"{timestep}: {told:.4f} ({untold:.4f})")
    return "  ".join(figures)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--steps-frame", type=int, default=2400, help="steps on single frames")
    parser.add_argument("--steps-clip", type=int, default=1600, help="steps on whole clips")
    parser.add_argument("--batch-frame", type=int, default=64, help="frames of a step")
    parser.add_argument("--batch-clip", type=int, default=24, help="clips of a step")
    add_training_arguments(parser)
    add_device_arguments(parser, autocast=True)
    args = parser.parse_args()
    device = Device.from_arguments(args)
    stored = made_by("encode_clips.py", args.work / "clip-latents.safetensors")
    latents = load_file(stored)["latents"]
    if len(latents) <= VALIDATION_ROWS:
        raise SystemExit(f"error: more than {VALIDATION_ROWS} clips are needed")
    tokenizers = made_by("make_tokenizers.py", args.work / "tokenizers/clips")

    torch.manual_seed(args.seed)
    model = TinyCogVideoX.new(T5TokenizerFast.from_pretrained(tokenizers))
    trainee = Trainee(model, model.inner_dim).to(device.name)

    def step_loss(trainee: Trainee, step: int) -> StepLoss:
        stage = (1, args.batch_frame) if step < args.steps_frame else (None, args.batch_clip)
        return losses(trainee, draw_batch(latents, *stage, args.seed, step), device)

    with device.training_attention():
        train(
            trainee,
            steps=args.steps_frame + args.steps_clip,
            step_loss=step_loss,
            validate=lambda average: validate(average, latents, device),
            checkpoint=args.work / "cogvideox.pt",
            settings={name: getattr(args, name) for name in ("batch_frame", "batch_clip")},
            args=args,
        )


if __name__ == "__main__":
    main()
