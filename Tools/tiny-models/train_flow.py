"""Trains a picture model's transformer and text encoders together, by flow matching.

in:   WORK/latents.safetensors, WORK/tokenizers/
out:  WORK/FAMILY.pt    weights, their moving average and the optimisers' state, from which an
                        interrupted run goes on; the end is the same

First on scenes of 64 pixels with much noise, where the caption matters, then on 128 pixels. The
loss is the flow-matching error, the same for all image tokens: no mask, box or position of an
object is used. Of every four steps

* two have captions: 10 % are empty, and CLIP's pooled vector is zero in 80 %, so that what is to
  be drawn must come through the text tokens;
* one has tags instead: the text tokens are six words of the scene, each encoded alone, which is
  how ConceptAttention makes a concept token;
* one matches: of the six words one to five are not in the scene, and there is less noise. After
  each block but the first a linear read-out of a word's tokens guesses whether the word is in the
  scene; that loss makes text tokens look at the picture. Read-outs are not exported.

With tags and matches the pooled vector is zero in half of the samples and in the others that of
the caption of another sample, which tells nothing.
"""

import random
from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch import Tensor

from captions import random_caption
from checkpoints import step_seed
from common import argument_parser, made_by
from device import Device, add_device_arguments
from picture_model import Tokenizers
from picture_models import FAMILIES
from scenes import TRAINING_SEED, WORDS, make_scene
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

ZERO_POOLED = 0.8
NOISE_MEAN = {64: 1.4, 128: 0.9}  # of the noise level's logit
UNIFORM_NOISE = 0.2  # share of the levels drawn evenly instead
MATCH_NOISE = (0.05, 0.8)


@dataclass(frozen=True)
class Batch:
    """Latents of pool rows with what the model is told about them; the same for the same seed."""

    kind: Kind
    clean: Tensor  # [batch, 16, side, side]
    noise: Tensor
    levels: Tensor  # 0 (clean) ... 1 (noise), [batch]
    captions: list[str]
    words: list[list[int]]  # of tags and match: TAGS indices in WORDS for each sample
    present: Tensor  # whether each of these is in the scene, [batch, TAGS]
    keep_pooled: Tensor  # [batch, 1]


def draw_batch(latents: dict[int, Tensor], size: int, count: int, seed: int, step: int) -> Batch:
    kind = Kind.of_step(step)
    r = random.Random(step_seed(seed, step))
    generator = torch.Generator().manual_seed(step_seed(seed, step))
    rows = r.choices(range(VALIDATION_ROWS, len(latents[size])), k=count)
    scenes = [make_scene(TRAINING_SEED + row) for row in rows]
    captions = ["" if r.random() < EMPTY_CAPTIONS else random_caption(scene, r) for scene in scenes]
    words = [pick_words(scene.words, kind, r) for scene in scenes]
    clean = latents[size][rows].float()
    zero_pooled = ZERO_POOLED if kind is Kind.CAPTIONS else 0.5
    return Batch(
        kind=kind,
        clean=clean,
        noise=torch.randn(clean.shape, generator=generator),
        levels=draw_levels(kind, size, count, generator),
        captions=captions,
        words=words,
        present=presence(words, [scene.words for scene in scenes]),
        keep_pooled=(torch.rand(count, 1, generator=generator) > zero_pooled).float(),
    )


def draw_levels(kind: Kind, size: int, count: int, generator: torch.Generator) -> Tensor:
    evenly = torch.rand(count, generator=generator)
    if kind is Kind.MATCH:
        low, high = MATCH_NOISE
        levels = low + (high - low) * evenly
    else:
        levels = torch.sigmoid(torch.randn(count, generator=generator) + NOISE_MEAN[size])
        levels = torch.where(torch.rand(count, generator=generator) < UNIFORM_NOISE, evenly, levels)
    # The model rounds its timestep like this under autocast; so must the mixture it is shown.
    return levels.bfloat16().float()


def flow_loss(
    trainee: Trainee, clean: Tensor, noise: Tensor, levels: Tensor, text: Tensor, pooled: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The flow-matching error, and the text tokens after each block that is read."""
    mixed = torch.lerp(clean, noise, levels[:, None, None, None])
    prediction, stream = trainee.velocity(mixed, text, pooled, levels)
    return (prediction - (noise - clean)).pow(2).mean(), stream


def losses(trainee: Trainee, batch: Batch, device: Device) -> StepLoss:
    model = trainee.model
    with device.autocast():
        text, pooled = model.encode_prompts(batch.captions)
        pooled = pooled * batch.keep_pooled.to(device.name)
        if batch.kind is not Kind.CAPTIONS:
            words = model.encode_words(list(WORDS))[torch.tensor(batch.words)]
            text = words.transpose(1, 2).flatten(1, 2)  # one token of every word, then another
            pooled = pooled.detach().roll(1, 0)
        tensors = (batch.clean, batch.noise, batch.levels)
        error, stream = flow_loss(trainee, *(x.to(device.name) for x in tensors), text, pooled)
    if batch.kind is not Kind.MATCH:
        return StepLoss(error, error.item(), False)
    match = trainee.match_loss(stream, batch.present.to(device.name))
    return StepLoss(error + MATCH_WEIGHT * match, match.item(), True)


@torch.no_grad()
def validate(trainee: Trainee, latents: dict[int, Tensor], device: Device) -> str:
    """Flow error on unseen scenes at some noise levels, with captions and without."""
    clean = latents[128][:VALIDATION_ROWS].float().to(device.name)
    count = len(clean)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).to(device.name)
    scenes = [make_scene(TRAINING_SEED + row) for row in range(count)]
    captions = [random_caption(scene, random.Random(row)) for row, scene in enumerate(scenes)]
    figures = []
    for level in (0.4, 0.8, 0.95):
        levels = torch.full((count,), level, device=device.name)
        with device.autocast():
            told, untold = (
                flow_loss(trainee, clean, noise, levels, *trainee.model.encode_prompts(texts))[0]
                for texts in (captions, [""] * count)
            )
        figures.append(f"{level}: {told:.4f} ({untold:.4f})")
    return "  ".join(figures)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("family", choices=FAMILIES, help="which model")
    parser.add_argument("--steps-64", type=int, default=2400, help="steps at 64 pixels")
    parser.add_argument("--steps-128", type=int, default=600, help="steps at 128 pixels")
    parser.add_argument("--batch-64", type=int, default=64, help="samples of a step at 64 pixels")
    parser.add_argument("--batch-128", type=int, default=32, help="samples of a step at 128 pixels")
    add_training_arguments(parser)
    add_device_arguments(parser, autocast=True)
    args = parser.parse_args()
    device = Device.from_arguments(args)
    stored = load_file(made_by("encode_pool.py", args.work / "latents.safetensors"))
    latents = {int(size): tensor for size, tensor in stored.items()}
    if min(len(tensor) for tensor in latents.values()) <= VALIDATION_ROWS:
        raise SystemExit(f"error: more than {VALIDATION_ROWS} scenes of both sizes are needed")
    tokenizers = Tokenizers.load(made_by("make_tokenizers.py", args.work / "tokenizers"))

    torch.manual_seed(args.seed)
    model = FAMILIES[args.family].new(tokenizers)
    trainee = Trainee(model, model.transformer.inner_dim).to(device.name)

    def step_loss(trainee: Trainee, step: int) -> StepLoss:
        stage = (64, args.batch_64) if step < args.steps_64 else (128, args.batch_128)
        return losses(trainee, draw_batch(latents, *stage, args.seed, step), device)

    with device.training_attention():
        train(
            trainee,
            steps=args.steps_64 + args.steps_128,
            step_loss=step_loss,
            validate=lambda average: validate(average, latents, device),
            checkpoint=args.work / f"{args.family}.pt",
            settings={name: getattr(args, name) for name in ("batch_64", "batch_128")},
            args=args,
        )


if __name__ == "__main__":
    main()
