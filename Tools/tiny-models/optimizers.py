"""Optimisers, their rate, and the moving average of weights, of all transformers."""

import torch
from torch import nn

WARMUP = 100
DECAY_FROM = 0.75  # of all steps; from there the learning rate falls to zero
EMA_DECAY = 0.998


def muon_and_adamw(trainee: nn.Module, lr: float) -> tuple[torch.optim.Muon, torch.optim.AdamW]:
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
