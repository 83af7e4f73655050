"""The autoencoder of pictures, which both picture models share."""

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from scenes import SIZE
from sizes import LATENT_CHANNELS


def new_vae() -> AutoencoderKL:
    """4x downsampling; its scaling and shift are set when it is trained."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=8,
        sample_size=SIZE,
        use_quant_conv=False,
        use_post_quant_conv=False,
        force_upcast=False,
        scaling_factor=1.0,
        shift_factor=0.0,
    )


def image_tensor(pictures: np.ndarray) -> Tensor:
    """u8 [batch, height, width, 3] as float [batch, 3, height, width] in -1 ... 1."""
    channels_first = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    return torch.from_numpy(channels_first).float() / 127.5 - 1


def encode_images(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """The mean of the latents, scaled to unit variance, [batch, 16, height / 4, width / 4]."""
    latents = vae.encode(images).latent_dist.mode()
    return (latents - vae.config.shift_factor) * vae.config.scaling_factor
