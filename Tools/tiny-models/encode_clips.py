"""Encodes the clips once, so that training the transformer needs no autoencoder.

in:   WORK/clips.npy, WORK/video-vae/
out:  WORK/clip-latents.safetensors    "latents" f16 [count, 5, 16, 16, 16]: frames, channels,
                                       height, width; scaled to unit variance
"""

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors.torch import save_file

from common import argument_parser, made_by, written_whole
from device import Device, add_device_arguments
from video_autoencoder import clip_tensor, encode_clips

BATCH = 4


@torch.no_grad()
def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--count", type=int, help="clips to encode; all unless given")
    add_device_arguments(parser, autocast=True)
    args = parser.parse_args()
    device = Device.from_arguments(args)
    clips = np.load(made_by("make_clips.py", args.work / "clips.npy"), mmap_mode="r")[: args.count]
    folder = made_by("train_vae.py clips", args.work / "video-vae")
    vae = AutoencoderKLCogVideoX.from_pretrained(folder).to(device.name).eval()
    parts = []
    for start in range(0, len(clips), BATCH):
        batch = clip_tensor(clips[start : start + BATCH]).to(device.name)
        with device.autocast():
            parts.append(encode_clips(vae, batch).transpose(1, 2).half().cpu())
    latents = torch.cat(parts).contiguous()
    path = args.work / "clip-latents.safetensors"
    with written_whole(path) as temporary:
        save_file({"latents": latents}, temporary)
    print(path, list(latents.shape))


if __name__ == "__main__":
    main()
