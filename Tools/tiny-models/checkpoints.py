"""Checkpoints and seeds of steps, by which an interrupted run ends as if it had not been."""

from pathlib import Path
from typing import Any, Protocol

import torch

from common import written_whole


class Stateful(Protocol):
    """A module or an optimiser."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


def step_seed(seed: int, step: int) -> int:
    """For a generator of this step alone; PyTorch's heed the lower 32 bits."""
    return (1_000_003 * seed + step) % 2**32


def save_checkpoint(
    path: Path, state: dict[str, Stateful], settings: dict[str, Any], step: int
) -> None:
    content = {name: part.state_dict() for name, part in state.items()}
    with written_whole(path) as temporary:
        torch.save({"state": content, "settings": settings, "step": step}, temporary)


def load_checkpoint(path: Path, state: dict[str, Stateful], settings: dict[str, Any]) -> int:
    """Fills `state` from a checkpoint and returns the steps done; 0 when there is none.

    One that was made with other settings ends the program: going on would mix two runs.
    """
    if not path.exists():
        return 0
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    for name, value in settings.items():
        found = checkpoint["settings"].get(name)
        if found != value:
            raise SystemExit(
                f"error: {path} was made with {name} {found}, not {value}; "
                "remove it to begin anew, or give the same settings to go on"
            )
    for name, part in state.items():
        part.load_state_dict(checkpoint["state"][name])
    print(f"{path}: going on after step {checkpoint['step']}")
    return checkpoint["step"]
