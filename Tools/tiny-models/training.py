"""What training the transformers has in common: kinds of steps, read-outs, and the loop.

Of every four steps two have captions; one has tags instead, words of the scene each encoded alone,
which is how ConceptAttention makes a concept token; and one matches: some of the words are not in
the scene, and linear read-outs of the words' tokens guess which.
"""

import argparse
import copy
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkpoints import Stateful, load_checkpoint, save_checkpoint
from optimizers import learning_rate, muon_and_adamw, update_average
from scenes import WORDS

VALIDATION_ROWS = 64  # the first of the pool; never trained on
EMPTY_CAPTIONS = 0.1
TAGS = 6
MATCH_WEIGHT = 0.2
LOG_EVERY, VALIDATE_EVERY = 50, 500


class Kind(Enum):
    CAPTIONS, TAGS, MATCH = range(3)

    @classmethod
    def of_step(cls, step: int) -> "Kind":
        return (cls.CAPTIONS, cls.MATCH, cls.CAPTIONS, cls.TAGS)[step % 4]


def pick_words(present: list[str], kind: Kind, r: random.Random) -> list[int]:
    """TAGS indices in WORDS: of words that are present, when matching of others too."""
    words = r.sample(present, len(present))
    if kind is Kind.MATCH:
        absent = [word for word in WORDS if word not in present]
        words = words[: r.randint(1, TAGS - 1)]
        words += r.sample(absent, TAGS - len(words))
    return [WORDS.index(word) for word in (words * TAGS)[:TAGS]]


def presence(words: list[list[int]], present: list[list[str]]) -> Tensor:
    """Whether each of a sample's words is among those present, [samples, TAGS]."""
    return torch.tensor([[float(WORDS[i] in p) for i in w] for w, p in zip(words, present)])


class Trainee(nn.Module):
    """What is trained: a model and its read-outs.

    The text after the first block has not yet seen much, so nothing reads it.
    """

    def __init__(self, model: nn.Module, width: int):
        super().__init__()
        self.model = model
        self.readouts = nn.ModuleList(nn.Linear(width, 1) for _ in range(model.read_outs))

    def velocity(self, *inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The model's velocity, and the text tokens after each block that is read."""
        stream: list[Tensor] = []
        position = self.model.text_output
        hooks = [
            block.register_forward_hook(lambda _, __, output: stream.append(output[position]))
            for block in self.model.text_blocks[1 : 1 + self.model.read_outs]
        ]
        prediction = self.model.velocity(*inputs)
        for hook in hooks:
            hook.remove()
        return prediction, stream

    def match_loss(self, stream: list[Tensor], present: Tensor) -> Tensor:
        """Of guessing from each token whether its word is in the scene; present [batch, TAGS]."""
        states = [F.layer_norm(text.float(), text.shape[-1:]) for text in stream]
        logits = torch.stack([head(x)[..., 0] for head, x in zip(self.readouts, states)])
        logits = logits.unflatten(-1, (-1, TAGS))
        return F.binary_cross_entropy_with_logits(logits, present[:, None].expand_as(logits))


@dataclass(frozen=True)
class StepLoss:
    loss: Tensor  # to minimise
    figure: float  # to log: the error of the velocity or, of match steps, the read-outs' loss
    is_match: bool


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate at its highest")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise")
    parser.add_argument("--save-every", type=int, default=100, help="steps between checkpoints")


def train(
    trainee: Trainee,
    steps: int,
    step_loss: Callable[[Trainee, int], StepLoss],
    validate: Callable[[Trainee], str],
    checkpoint: Path,
    settings: dict[str, Any],
    args: argparse.Namespace,
) -> None:
    """Trains to the end, from the checkpoint on if there is one.

    The number of steps may differ from that of the interrupted run: the learning rate falls to
    zero over the last quarter of what it is now.
    """
    average = copy.deepcopy(trainee).requires_grad_(False)
    muon, adamw = muon_and_adamw(trainee, args.lr)
    state: dict[str, Stateful] = {
        "current": trainee,
        "average": average,
        "muon": muon,
        "adamw": adamw,
    }
    settings = {**settings, "seed": args.seed, "lr": args.lr}
    first = load_checkpoint(checkpoint, state, settings)
    began = time.monotonic()
    logged: dict[bool, list[float]] = {False: [], True: []}
    for step in range(first, steps):
        for group in muon.param_groups + adamw.param_groups:
            group["lr"] = learning_rate(args.lr, step, steps)
        result = step_loss(trainee, step)
        trainee.zero_grad()
        result.loss.backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        muon.step()
        adamw.step()
        update_average(average, trainee, step)
        logged[result.is_match].append(result.figure)
        done = step + 1
        if done % LOG_EVERY == 0 or done == steps:
            flow, match = (sum(x) / max(1, len(x)) for x in logged.values())
            logged = {False: [], True: []}
            seconds = time.monotonic() - began
            print(f"step {done}  {seconds:.0f} s  velocity {flow:.4f}  match {match:.4f}")
        if done % args.save_every == 0 or done == steps:
            save_checkpoint(checkpoint, state, settings, done)
        if done % VALIDATE_EVERY == 0 or done == steps:
            print(f"error by noise level, with captions (without): {validate(average)}", flush=True)
