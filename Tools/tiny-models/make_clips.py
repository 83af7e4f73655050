"""Draws the clips that the autoencoder of videos and the video model are trained on.

in:   nothing
out:  WORK/clips.npy    u8 [count, 17, 64, 64, 3]; row i is make_clip(TRAINING_SEED + i), whose
                        caption is made anew from that seed each time it is needed
"""

import os
from multiprocessing import Pool

import numpy as np

from clips import CLIP_SIZE, FRAMES, make_clip
from common import argument_parser, written_whole
from drawing import render_clip
from scenes import TRAINING_SEED


def clip(index: int) -> np.ndarray:
    return render_clip(make_clip(TRAINING_SEED + index))[0]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--count", type=int, default=5000, help="clips, 209 KB each")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    args = parser.parse_args()
    with written_whole(args.work / "clips.npy") as path, Pool(args.workers) as workers:
        shape = (args.count, FRAMES, CLIP_SIZE, CLIP_SIZE, 3)
        clips = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        for index, row in enumerate(workers.imap(clip, range(args.count), chunksize=32)):
            clips[index] = row
        clips.flush()
    print(f"{args.count} clips in {args.work / 'clips.npy'}")


if __name__ == "__main__":
    main()
