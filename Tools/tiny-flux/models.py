"""tiny-flux itself: the configurations, and how pictures and texts become tokens."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from scenes import SIZE
from sizes import CLIP_TOKENS, GRID, LATENT_CHANNELS, TEXT_TOKENS, TOKEN_CHANNELS

T5_WIDTH, CLIP_WIDTH = 128, 64


@dataclass(frozen=True)
class Tokenizers:
    clip: CLIPTokenizer
    t5: T5TokenizerFast

    @classmethod
    def load(cls, folder: Path) -> "Tokenizers":
        """From `tokenizer` and `tokenizer_2` in a folder."""
        return cls(
            CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            T5TokenizerFast.from_pretrained(folder / "tokenizer_2"),
        )


class TinyFlux(nn.Module):
    """The transformer and its two text encoders, which are trained together."""

    def __init__(
        self,
        tokenizers: Tokenizers,
        transformer: FluxTransformer2DModel,
        t5: T5EncoderModel,
        clip: CLIPTextModel,
    ):
        super().__init__()
        self.tokenizers = tokenizers
        self.transformer, self.t5, self.clip = transformer, t5, clip

    @classmethod
    def new(cls, tokenizers: Tokenizers) -> "TinyFlux":
        """With weights from PyTorch's random state."""
        t5, clip = new_t5(len(tokenizers.t5)), new_clip(len(tokenizers.clip))
        return cls(tokenizers, new_transformer(), t5, clip)

    @classmethod
    def load(cls, folder: Path) -> "TinyFlux":
        """An exported model, in float32."""
        return cls(
            Tokenizers.load(folder),
            FluxTransformer2DModel.from_pretrained(folder, subfolder="transformer").float(),
            T5EncoderModel.from_pretrained(folder, subfolder="text_encoder_2").float(),
            CLIPTextModel.from_pretrained(folder, subfolder="text_encoder").float(),
        ).eval()

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    def encode_prompts(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """T5's tokens [batch, 16, 128], padding not masked, and CLIP's pooled vector [batch, 64].

        As FluxPipeline does it, save that CLIP's padding stops at the longest text: the pooled
        vector sees nothing behind the end token.
        """
        ids = self.tokenizers.clip(
            texts, padding=True, max_length=CLIP_TOKENS, truncation=True, return_tensors="pt"
        ).input_ids
        return self._t5_tokens(texts), self.clip(ids.to(self.device)).pooler_output

    def encode_words(self, words: list[str]) -> Tensor:
        """The first T5 token of each word encoded alone, [words, 128]: a concept token."""
        return self._t5_tokens(words)[:, 0]

    def _t5_tokens(self, texts: list[str]) -> Tensor:
        ids = self.tokenizers.t5(
            texts,
            padding="max_length",
            max_length=TEXT_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return self.t5(ids.to(self.device))[0]


def new_transformer() -> FluxTransformer2DModel:
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=TOKEN_CHANNELS,
        num_layers=6,
        num_single_layers=2,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=CLIP_WIDTH,
        guidance_embeds=False,
        axes_dims_rope=(8, 12, 12),
    )
    # All modulation and the output begin at zero, as in DiT (adaLN-zero).
    zero = ("norm1.linear", "norm1_context.linear", "norm.linear", "norm_out.linear")
    for name, module in transformer.named_modules():
        if name.endswith(zero) or name == "proj_out":
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return transformer


def new_t5(vocabulary: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=T5_WIDTH,
            d_kv=32,
            d_ff=256,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            relative_attention_num_buckets=32,
            relative_attention_max_distance=128,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
            use_cache=False,
        )
    )


def new_clip(vocabulary: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=CLIP_WIDTH,
            intermediate_size=4 * CLIP_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CLIP_TOKENS,
            projection_dim=CLIP_WIDTH,
            hidden_act="quick_gelu",
            # FLUX.1's ids, wrong as they are: with an eos_token_id of 2 the pooled token is the
            # one with the highest id, which is the end token.
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        )
    )


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


def pack(latents: Tensor) -> Tensor:
    """[batch, 16, height, width] as tokens [batch, height / 2 * width / 2, 64], as FluxPipeline."""
    batch, channels, height, width = latents.shape
    patches = latents.view(batch, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, 4 * channels)


def image_positions(side: int) -> Tensor:
    """Position ids of `side * side` tokens, [tokens, 3], stretched over the grid of a full picture.

    A token of a smaller picture so stands where the part of the scene it shows stands.
    """
    stretch = GRID / side
    places = torch.arange(side) * stretch + (stretch - 1) / 2
    positions = torch.zeros(side, side, 3)
    positions[..., 1] = places[:, None]
    positions[..., 2] = places[None, :]
    return positions.reshape(-1, 3)
