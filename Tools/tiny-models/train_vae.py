"""Trains an autoencoder, of pictures or of clips, on its pool.

in:   WORK/pool.npy, or WORK/clips.npy
out:  WORK/vae/          diffusers AutoencoderKL, with scaling and shift measured
      WORK/video-vae/    diffusers AutoencoderKLCogVideoX, with its scaling
      WORK/OUT.pt        from which an interrupted run goes on; the end is the same

A step sees 16 random crops of 64 pixels, every eighth one 4 whole pictures; of clips 6 random
crops of 32 pixels or one whole clip, all frames. With --decoder-only a trained decoder is trained
further; the encoder stays as it is, and with it all latents.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn
from torch.nn import functional as F

from checkpoints import Stateful, load_checkpoint, save_checkpoint, step_seed
from common import argument_parser, made_by
from autoencoder import image_tensor, new_vae
from device import Device, add_device_arguments
from video_autoencoder import clip_tensor, new_video_vae

WARMUP = 50
KL_WEIGHT = 2e-4
LOG_EVERY = 50


@dataclass(frozen=True)
class Task:
    pool: str
    script: str  # makes the pool
    out: str
    new: Callable[[], nn.Module]
    tensor: Callable[[np.ndarray], Tensor]  # rows of the pool as the autoencoder takes them
    crops: tuple[int, int]  # number, and pixels of a side
    whole: int  # pictures or clips of every eighth step


TASKS = {
    "pictures": Task("pool.npy", "make_pool.py", "vae", new_vae, image_tensor, (16, 64), 4),
    "clips": Task(
        "clips.npy", "make_clips.py", "video-vae", new_video_vae, clip_tensor, (6, 32), 1
    ),
}


class KernelMuon(torch.optim.Muon):
    """Muon for weights of any rank: a kernel [out, in, height, width] counts as the matrix
    [out, in * height * width]. On so few steps it ends far ahead of AdamW alone."""

    def __init__(self, weights: list[nn.Parameter], lr: float):
        self.weights = weights
        self.matrices = [nn.Parameter(weight.detach().view(len(weight), -1)) for weight in weights]
        super().__init__(self.matrices, lr=lr, weight_decay=0, adjust_lr_fn="match_rms_adamw")

    def step(self) -> None:
        for weight, matrix in zip(self.weights, self.matrices):
            matrix.grad = weight.grad.flatten(1)
        super().step()


def make_optimizers(vae: nn.Module, lr: float) -> tuple[KernelMuon, torch.optim.AdamW]:
    """Muon for all matrices and kernels save the first and last of both halves, which AdamW has."""
    inner: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    trained = ((n, p) for n, p in vae.named_parameters() if p.requires_grad)
    for name, parameter in trained:
        is_inner = parameter.ndim >= 2 and "conv_in" not in name and "conv_out" not in name
        (inner if is_inner else others).append(parameter)
    adamw = torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=0)
    return KernelMuon(inner, lr), adamw


def batch(task: Task, pool: np.ndarray, seed: int, step: int) -> Tensor:
    """Pictures of a step, [batch, 3, side, side], or clips; a function of seed and step only."""
    rng = np.random.default_rng(step_seed(seed, step))
    size = pool.shape[-2]
    count, side = (task.whole, size) if step % 8 == 7 else task.crops
    crops = []
    for index in rng.integers(0, len(pool), count):
        y, x = rng.integers(0, size - side + 1, 2)
        crop = pool[index, ..., y : y + side, x : x + side, :]
        crops.append(crop[..., ::-1, :] if rng.random() < 0.5 else crop)
    return task.tensor(np.stack(crops))


def losses(
    vae: nn.Module, images: Tensor, noise: torch.Generator, device: Device
) -> tuple[Tensor, Tensor]:
    """The loss, and the mean squared error in it."""
    with device.autocast():
        moments = vae.encode(images).latent_dist.parameters
    posterior = DiagonalGaussianDistribution(moments.float())
    latents = posterior.sample(noise)
    with device.autocast():
        decoded = vae.decode(latents).sample
    error = decoded.float() - images
    if error.ndim == 5:  # frames one by one
        error = error.transpose(1, 2).flatten(0, 1)
    square = error.pow(2).mean()
    # The blurred difference keeps flat regions in their colour.
    reconstruction = error.abs().mean() + 2 * square + 0.5 * F.avg_pool2d(error, 4).abs().mean()
    kl = 0.5 * (posterior.mean.pow(2) + posterior.var - 1 - posterior.logvar).mean()
    return reconstruction + KL_WEIGHT * kl, square


@torch.no_grad()
def measure_latents(
    task: Task, vae: nn.Module, pool: np.ndarray, device: Device
) -> tuple[float, float]:
    """Scaling and shift that bring latents to unit variance and zero mean."""
    means = []
    for start in range(0, min(64 * task.whole, len(pool)), task.whole):
        images = task.tensor(pool[start : start + task.whole]).to(device.name)
        means.append(vae.encode(images).latent_dist.mode())
    latents = torch.cat(means)
    return round(1 / latents.std().item(), 5), round(latents.mean().item(), 5)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("task", choices=TASKS, help="what to encode")
    parser.add_argument("--steps", type=int, default=1000, help="optimiser steps")
    parser.add_argument("--lr", type=float, default=3e-3, help="learning rate at its highest")
    parser.add_argument("--seed", type=int, default=0, help="of weights, crops and noise")
    parser.add_argument("--save-every", type=int, default=100, help="steps between checkpoints")
    parser.add_argument("--decoder-only", action="store_true", help="leave the encoder as it is")
    add_device_arguments(parser, autocast=True)
    args = parser.parse_args()
    device = Device.from_arguments(args)
    task = TASKS[args.task]
    pool = np.load(made_by(task.script, args.work / task.pool), mmap_mode="r")

    torch.manual_seed(args.seed)
    vae = task.new().to(device.name)
    checkpoint: Path = args.work / f"{task.out}.pt"
    if args.decoder_only:
        trained = made_by(f"train_vae.py {args.task}", args.work / task.out)
        vae = type(vae).from_pretrained(trained).to(device.name).train()
        vae.encoder.requires_grad_(False)
        checkpoint = args.work / f"{task.out}-decoder.pt"
    muon, adamw = make_optimizers(vae, args.lr)
    state: dict[str, Stateful] = {"vae": vae, "muon": muon, "adamw": adamw}
    settings = {"seed": args.seed, "lr": args.lr, "steps": args.steps}
    first = load_checkpoint(checkpoint, state, settings)

    squares: list[float] = []
    began = time.monotonic()
    for step in range(first, args.steps):
        for group in muon.param_groups + adamw.param_groups:
            decay = 0.5 + 0.5 * math.cos(math.pi * step / args.steps)
            group["lr"] = args.lr * min(1, (step + 1) / WARMUP) * decay + 1e-5
        images = batch(task, pool, args.seed, step).to(device.name)
        noise = torch.Generator().manual_seed(step_seed(args.seed, step))
        loss, square = losses(vae, images, noise, device)
        vae.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        muon.step()
        adamw.step()
        squares.append(square.item())
        if (step + 1) % LOG_EVERY == 0 or step + 1 == args.steps:
            psnr = 10 * math.log10(4 * len(squares) / sum(squares))
            squares = []
            print(
                f"step {step + 1}  {time.monotonic() - began:.0f} s  PSNR {psnr:.1f} dB", flush=True
            )
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            save_checkpoint(checkpoint, state, settings, step + 1)

    if not args.decoder_only:
        scaling, shift = measure_latents(task, vae, pool, device)
        vae.register_to_config(scaling_factor=scaling)
        if args.task == "pictures":  # CogVideoX knows no shift
            vae.register_to_config(shift_factor=shift)
    vae.save_pretrained(args.work / task.out)
    print(f"{args.work / task.out}: scaling {vae.config.scaling_factor}")


if __name__ == "__main__":
    main()
