"""Ranks all sets of blocks by how good the maps of their attention outputs are.

in:   an exported model; a folder of scenes, which should not be those it will be measured on
out:  printed, best first by the sum of the columns: means over scenes and noise levels. Give the
      set you choose to `export.py --layers`.
"""

from itertools import combinations
from pathlib import Path

import numpy as np

from common import argument_parser
from device import Device, add_device_arguments
from evaluate import scene_maps

COLUMNS = ("acc", "miou", "map", "obj_miou", "obj_map")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="exported folder")
    parser.add_argument("--scenes", type=Path, required=True, help="folder of scenes")
    parser.add_argument("--top", type=int, default=20, help="sets to print")
    add_device_arguments(parser)
    args = parser.parse_args()
    values: dict[tuple[int, ...], list[list[float]]] = {}
    for scene in scene_maps(args.model, args.scenes, Device.from_arguments(args)):
        maps = scene.maps["output"]
        blocks, levels = range(maps.shape[0]), range(maps.shape[1])
        for size in range(1, len(blocks) + 1):
            for chosen in combinations(blocks, size):
                averaged = maps[list(chosen)].mean(0)
                figures = [scene.score(averaged[level]) for level in levels]
                rows = [[figure.get(name, np.nan) for name in COLUMNS] for figure in figures]
                values.setdefault(chosen, []).extend(rows)
    means = {chosen: np.nanmean(rows, 0) for chosen, rows in values.items()}
    best = sorted(means, key=lambda chosen: -means[chosen].sum())
    print("ranked by the sum of\n" + "".join(f"{name:>9}" for name in COLUMNS))
    for chosen in best[: args.top]:
        columns = "".join(f"{value:9.3f}" for value in means[chosen])
        print(columns, ",".join(map(str, chosen)))


if __name__ == "__main__":
    main()
