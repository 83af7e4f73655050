"""Where the arithmetic happens: CPU or CUDA, in float32 or with bfloat16 autocast."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def add_device_arguments(parser: argparse.ArgumentParser, autocast: bool = False) -> None:
    """`--device` and `--threads`; with `autocast` also `--bf16`."""
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute")
    parser.add_argument("--threads", type=int, help="CPU threads; PyTorch's choice unless given")
    if autocast:
        parser.add_argument(
            "--bf16",
            action=argparse.BooleanOptionalAction,
            help="compute in bfloat16 where that is safe; on CUDA unless told otherwise",
        )


@dataclass(frozen=True)
class Device:
    name: str
    bf16: bool

    @classmethod
    def from_arguments(cls, args: argparse.Namespace) -> "Device":
        if args.threads:
            torch.set_num_threads(args.threads)
        if args.device == "cuda" and not torch.cuda.is_available():
            raise SystemExit("error: --device cuda, but PyTorch finds no CUDA device")
        bf16 = getattr(args, "bf16", False)
        return cls(args.device, args.device == "cuda" if bf16 is None else bf16)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.name, torch.bfloat16, enabled=self.bf16)

    @contextmanager
    def training_attention(self) -> Iterator[None]:
        """On a CPU, attention as plain products.

        PyTorch's fused kernel for CPUs takes two to five times as long at these sizes, most of it
        backwards; half of all training time went there.
        """
        fused = F.scaled_dot_product_attention

        def attention(
            query: Tensor,
            key: Tensor,
            value: Tensor,
            attn_mask: Tensor | None = None,
            dropout_p: float = 0.0,
            is_causal: bool = False,
            scale: float | None = None,
            **others: bool,
        ) -> Tensor:
            if attn_mask is not None or is_causal or dropout_p:
                return fused(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)
            scale = query.shape[-1] ** -0.5 if scale is None else scale
            weights = ((query * scale) @ key.transpose(-1, -2)).softmax(-1)
            return weights.to(value.dtype) @ value

        F.scaled_dot_product_attention = attention if self.name == "cpu" else fused
        try:
            yield
        finally:
            F.scaled_dot_product_attention = fused
