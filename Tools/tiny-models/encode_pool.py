"""Encodes the pool once, so that training the transformer needs no autoencoder.

in:   WORK/pool.npy, WORK/vae/
out:  WORK/latents.safetensors    f16, scaled to unit variance:
        "64"     [count, 16, 16, 16]       the pictures at half their size
        "128"    [count-128, 16, 32, 32]   the first ones at full size
"""

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from common import argument_parser, made_by, written_whole
from device import Device, add_device_arguments
from autoencoder import encode_images, image_tensor

BATCH = 16


@torch.no_grad()
def encode(vae: AutoencoderKL, pool: np.ndarray, shrink: int) -> Tensor:
    parts = []
    for start in range(0, len(pool), BATCH):
        images = image_tensor(pool[start : start + BATCH]).to(vae.device)
        parts.append(encode_images(vae, F.avg_pool2d(images, shrink)).half().cpu())
    return torch.cat(parts).contiguous()


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--count-128", type=int, default=8000, help="pictures at full size")
    add_device_arguments(parser)
    args = parser.parse_args()
    device = Device.from_arguments(args)
    pool = np.load(made_by("make_pool.py", args.work / "pool.npy"), mmap_mode="r")
    vae = AutoencoderKL.from_pretrained(made_by("train_vae.py", args.work / "vae"))
    vae = vae.to(device.name).eval()
    latents = {"64": encode(vae, pool, 2), "128": encode(vae, pool[: args.count_128], 1)}
    path = args.work / "latents.safetensors"
    with written_whole(path) as temporary:
        save_file(latents, temporary)
    print(path, {size: list(tensor.shape) for size, tensor in latents.items()})


if __name__ == "__main__":
    main()
