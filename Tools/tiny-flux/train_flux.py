"""Trains the transformer and both text encoders together, by flow matching.

in:   WORK/latents.safetensors, WORK/tokenizers/
out:  WORK/flux.pt    weights, their moving average and the optimisers' state, from which an
                      interrupted run goes on; the end is the same

First on scenes of 64 pixels with much noise, where the caption matters, then on 128 pixels. The
loss is the flow-matching error, the same for all image tokens: no mask, box or position of an
object is used. Of every four steps

* two have captions: 10 % are empty, and CLIP's pooled vector is zero in 80 %, so that what is to
  be drawn must come through the text tokens;
* one has tags instead: the text tokens are four words of the scene, each encoded alone, pooled
  vector zero, which is how ConceptAttention makes a concept token;
* one matches: of the four words one to three are not in the scene, and there is less noise. After
  each double block but the first a linear read-out of a word's token guesses whether the word is
  in the scene; that loss makes text tokens look at the picture. Read-outs are not exported.
"""

import copy
import random
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from captions import random_caption
from checkpoints import Stateful, load_checkpoint, save_checkpoint, step_seed
from common import argument_parser, made_by
from device import Device, add_device_arguments
from models import TinyFlux, Tokenizers, image_positions, pack
from scenes import TRAINING_SEED, WORDS, make_scene

VALIDATION_SCENES = 64  # the first of the pool; never trained on
WARMUP = 100
DECAY_FROM = 0.75  # of all steps; from there the learning rate falls to zero
EMA_DECAY = 0.998
EMPTY_CAPTIONS = 0.1
ZERO_POOLED = 0.8
NOISE_MEAN = {64: 1.4, 128: 0.9}  # of the noise level's logit
UNIFORM_NOISE = 0.2  # share of the levels drawn evenly instead
MATCH_NOISE = (0.05, 0.8)
MATCH_WEIGHT = 0.2
TAGS = 4
LOG_EVERY, VALIDATE_EVERY = 50, 500


class Kind(Enum):
    CAPTIONS, TAGS, MATCH = range(3)

    @classmethod
    def of_step(cls, step: int) -> "Kind":
        return (cls.CAPTIONS, cls.MATCH, cls.CAPTIONS, cls.TAGS)[step % 4]


class Trainee(nn.Module):
    """What is trained: the model and the read-outs."""

    def __init__(self, tokenizers: Tokenizers):
        super().__init__()
        self.model = TinyFlux.new(tokenizers)
        transformer = self.model.transformer
        heads = len(transformer.transformer_blocks) - 1
        self.readouts = nn.ModuleList(nn.Linear(transformer.inner_dim, 1) for _ in range(heads))

    def velocity(
        self, x: Tensor, text: Tensor, pooled: Tensor, levels: Tensor, side: int
    ) -> tuple[Tensor, list[Tensor]]:
        """The predicted velocity [batch, tokens, 64], and the text tokens after each block."""
        transformer = self.model.transformer
        stream: list[Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _, __, output: stream.append(output[0]))
            for block in transformer.transformer_blocks
        ]
        prediction = transformer(
            hidden_states=x,
            encoder_hidden_states=text,
            pooled_projections=pooled,
            timestep=levels,
            img_ids=image_positions(side).to(x.device),
            txt_ids=torch.zeros(text.shape[1], 3, device=x.device),
            return_dict=False,
        )[0]
        for hook in hooks:
            hook.remove()
        return prediction.float(), stream

    def presence(self, stream: list[Tensor]) -> Tensor:
        """Logits that each text token's word is in the scene, [blocks - 1, batch, tokens]."""
        states = [F.layer_norm(text.float(), text.shape[-1:]) for text in stream[1:]]
        return torch.stack([head(x)[..., 0] for head, x in zip(self.readouts, states)])


@dataclass(frozen=True)
class Batch:
    """Latents of pool rows with what the model is told about them; the same for the same seed."""

    kind: Kind
    clean: Tensor  # [batch, tokens, 64]
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
    rows = r.choices(range(VALIDATION_SCENES, len(latents[size])), k=count)
    scenes = [make_scene(TRAINING_SEED + row) for row in rows]
    captions = ["" if r.random() < EMPTY_CAPTIONS else random_caption(scene, r) for scene in scenes]
    words = [pick_words(scene.words, kind, r) for scene in scenes]
    present = [[float(WORDS[i] in scene.words) for i in w] for scene, w in zip(scenes, words)]
    clean = pack(latents[size][rows].float())
    return Batch(
        kind=kind,
        clean=clean,
        noise=torch.randn(clean.shape, generator=generator),
        levels=draw_levels(kind, size, count, generator),
        captions=captions,
        words=words,
        present=torch.tensor(present),
        keep_pooled=(torch.rand(count, 1, generator=generator) > ZERO_POOLED).float(),
    )


def pick_words(present: list[str], kind: Kind, r: random.Random) -> list[int]:
    words = r.sample(present, len(present))
    if kind is Kind.MATCH:
        absent = [word for word in WORDS if word not in present]
        words = words[: r.randint(1, TAGS - 1)]
        words += r.sample(absent, TAGS - len(words))
    return [WORDS.index(word) for word in (words * TAGS)[:TAGS]]


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
    """The flow-matching error, and the text tokens after each block."""
    mixed = torch.lerp(clean, noise, levels[:, None, None])
    side = round(clean.shape[1] ** 0.5)
    prediction, stream = trainee.velocity(mixed, text, pooled, levels, side)
    return (prediction - (noise - clean)).pow(2).mean(), stream


def losses(trainee: Trainee, batch: Batch, device: Device) -> tuple[Tensor, float]:
    """The loss to minimise, and the figure to log: flow error, or of match steps the read-outs'."""
    model = trainee.model
    with device.autocast():
        if batch.kind is Kind.CAPTIONS:
            text, pooled = model.encode_prompts(batch.captions)
            pooled = pooled * batch.keep_pooled.to(device.name)
        else:
            text = model.encode_words(list(WORDS))[torch.tensor(batch.words)]
            pooled = text.new_zeros(len(text), model.clip.config.hidden_size)
        tensors = (batch.clean, batch.noise, batch.levels)
        flow, stream = flow_loss(trainee, *(x.to(device.name) for x in tensors), text, pooled)
    if batch.kind is not Kind.MATCH:
        return flow, flow.item()
    logits = trainee.presence(stream)
    truth = batch.present.to(device.name).expand_as(logits)
    match = F.binary_cross_entropy_with_logits(logits, truth)
    return flow + MATCH_WEIGHT * match, match.item()


@torch.no_grad()
def validate(trainee: Trainee, latents: dict[int, Tensor], device: Device) -> str:
    """Flow error on unseen scenes at some noise levels, with captions and without."""
    clean = pack(latents[128][:VALIDATION_SCENES].float()).to(device.name)
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


def make_optimizers(trainee: Trainee, lr: float) -> tuple[torch.optim.Muon, torch.optim.AdamW]:
    """Muon for the matrices inside blocks, AdamW for all else (Keller Jordan, 2024)."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in trainee.named_parameters():
        in_block = any(part in name for part in ("blocks.", ".block.", ".layers."))
        is_hidden = in_block and "norm" not in name and "relative_attention_bias" not in name
        (matrices if is_hidden and parameter.ndim == 2 else others).append(parameter)
    return (
        torch.optim.Muon(matrices, lr=lr, weight_decay=0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.97), weight_decay=0),
    )


def learning_rate(highest: float, step: int, steps: int) -> float:
    decay = (steps - step) / (steps - DECAY_FROM * steps)
    return highest * min(1.0, (step + 1) / WARMUP, decay)


@torch.no_grad()
def update_average(average: nn.Module, current: nn.Module, step: int) -> None:
    keep = min(EMA_DECAY, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - keep)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--steps-64", type=int, default=2400, help="steps at 64 pixels")
    parser.add_argument("--steps-128", type=int, default=600, help="steps at 128 pixels")
    parser.add_argument("--batch-64", type=int, default=64, help="samples of a step at 64 pixels")
    parser.add_argument("--batch-128", type=int, default=32, help="samples of a step at 128 pixels")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate at its highest")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise")
    parser.add_argument("--save-every", type=int, default=100, help="steps between checkpoints")
    add_device_arguments(parser, autocast=True)
    args = parser.parse_args()
    device = Device.from_arguments(args)
    stored = load_file(made_by("encode_pool.py", args.work / "latents.safetensors"))
    latents = {int(size): tensor for size, tensor in stored.items()}
    if min(len(tensor) for tensor in latents.values()) <= VALIDATION_SCENES:
        raise SystemExit(f"error: more than {VALIDATION_SCENES} scenes of both sizes are needed")
    tokenizers = Tokenizers.load(made_by("make_tokenizers.py", args.work / "tokenizers"))

    torch.manual_seed(args.seed)
    trainee = Trainee(tokenizers).to(device.name)
    average = copy.deepcopy(trainee).requires_grad_(False)
    muon, adamw = make_optimizers(trainee, args.lr)
    state: dict[str, Stateful] = {
        "current": trainee,
        "average": average,
        "muon": muon,
        "adamw": adamw,
    }
    names = ("seed", "lr", "steps_64", "steps_128", "batch_64", "batch_128")
    settings = {name: getattr(args, name) for name in names}
    checkpoint: Path = args.work / "flux.pt"
    first, steps = load_checkpoint(checkpoint, state, settings), args.steps_64 + args.steps_128

    began = time.monotonic()
    logged: dict[bool, list[float]] = {False: [], True: []}  # by whether it is a match step's
    for step in range(first, steps):
        size, count = (64, args.batch_64) if step < args.steps_64 else (128, args.batch_128)
        for group in muon.param_groups + adamw.param_groups:
            group["lr"] = learning_rate(args.lr, step, steps)
        batch = draw_batch(latents, size, count, args.seed, step)
        loss, figure = losses(trainee, batch, device)
        trainee.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        muon.step()
        adamw.step()
        update_average(average, trainee, step)
        logged[batch.kind is Kind.MATCH].append(figure)
        done = step + 1
        if done % LOG_EVERY == 0 or done == steps:
            flow, match = (sum(x) / max(1, len(x)) for x in logged.values())
            logged = {False: [], True: []}
            seconds = time.monotonic() - began
            print(f"step {done}  {seconds:.0f} s  {size} px  flow {flow:.4f}  match {match:.4f}")
        if done % args.save_every == 0 or done == steps:
            save_checkpoint(checkpoint, state, settings, done)
        if done % VALIDATE_EVERY == 0 or done == steps:
            error = validate(average, latents, device)
            print(f"error by noise level, with captions (without): {error}", flush=True)


if __name__ == "__main__":
    main()
