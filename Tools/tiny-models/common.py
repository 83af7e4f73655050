"""What every script shares: the command line's form, and files that are never seen half-written."""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps a docstring's lines, and tells the defaults there are."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def argument_parser(docstring: str | None) -> argparse.ArgumentParser:
    """A parser that explains itself with the script's docstring and knows `--work`."""
    parser = argparse.ArgumentParser(description=docstring, formatter_class=_HelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=Path("work"), help="folder of everything the recipe makes"
    )
    return parser


def number_list(text: str) -> list[int]:
    """`0,2` as an argument's value."""
    return [int(part) for part in text.split(",")]


def made_by(script: str, path: Path) -> Path:
    """The path; ends the program when the step that makes it has not been run."""
    if not path.exists():
        raise SystemExit(f"error: {path} does not exist; {script} makes it")
    return path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a path to write to, which becomes `path` if all goes well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())
