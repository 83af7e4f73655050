"""Where the arithmetic happens: CPU or CUDA, in float32 or with bfloat16 autocast."""

import argparse
from dataclasses import dataclass

import torch


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
