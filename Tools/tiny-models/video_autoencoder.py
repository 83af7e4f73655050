"""The causal 3-D autoencoder of tiny-cogvideox."""

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from torch import Tensor

from clips import CLIP_SIZE

CLIP_LATENT_CHANNELS = 16
SPACE, TIME = 4, 4  # pixels and frames of a latent; the first latent frame is one frame


def new_video_vae() -> AutoencoderKLCogVideoX:
    """4x downsampling in space and time; its scaling is set when it is trained."""
    return AutoencoderKLCogVideoX(
        in_channels=3,
        out_channels=3,
        latent_channels=CLIP_LATENT_CHANNELS,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3,
        norm_num_groups=8,
        temporal_compression_ratio=TIME,
        sample_height=CLIP_SIZE,
        sample_width=CLIP_SIZE,
        scaling_factor=1.0,
    )


def clip_tensor(clips: np.ndarray) -> Tensor:
    """u8 [batch, frames, height, width, 3] as float [batch, 3, frames, height, width], -1 ... 1."""
    channels_first = np.ascontiguousarray(clips.transpose(0, 4, 1, 2, 3))
    return torch.from_numpy(channels_first).float() / 127.5 - 1


def encode_clips(vae: AutoencoderKLCogVideoX, clips: Tensor) -> Tensor:
    """The mean of the latents, scaled, [batch, 16, (frames - 1) / 4 + 1, height / 4, width / 4]."""
    return vae.encode(clips).latent_dist.mode() * vae.config.scaling_factor
