"""Draws the pictures that the autoencoder and the transformer are trained on.

in:   nothing
out:  WORK/pool.npy    u8 [count, 128, 128, 3]; row i is make_scene(TRAINING_SEED + i), whose
                       caption is made anew from that seed each time it is needed
"""

import os
from multiprocessing import Pool

import numpy as np

from common import argument_parser, written_whole
from drawing import render
from scenes import SIZE, TRAINING_SEED, make_scene


def picture(index: int) -> np.ndarray:
    return render(make_scene(TRAINING_SEED + index))[0]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--count", type=int, default=16_000, help="pictures, 48 KB each")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    args = parser.parse_args()
    with written_whole(args.work / "pool.npy") as path, Pool(args.workers) as workers:
        shape = (args.count, SIZE, SIZE, 3)
        pool = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        for index, row in enumerate(workers.imap(picture, range(args.count), chunksize=64)):
            pool[index] = row
        pool.flush()
    print(f"{args.count} pictures in {args.work / 'pool.npy'}")


if __name__ == "__main__":
    main()
