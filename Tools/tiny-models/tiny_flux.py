"""tiny-flux: the configuration, and how pictures and texts become tokens."""

import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
)
from torch import Tensor
from transformers import CLIPTextModel, T5EncoderModel

from flux_maps import concept_maps
from picture_model import PictureModel, Tokenizers
from sizes import FLUX_CLIP_TOKENS, GRID, IMAGE_TOKENS, TEXT_TOKENS, TOKEN_CHANNELS
from text_encoders import clip_config, clip_ids, new_t5, start_modulation_at_zero, token_ids

T5_WIDTH, CLIP_WIDTH = 128, 64


class TinyFlux(PictureModel):
    family = "flux"
    pooled_width = CLIP_WIDTH
    read_outs = 5
    noise_shape = (1, IMAGE_TOKENS, TOKEN_CHANNELS)

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
        clip = CLIPTextModel(clip_config(len(tokenizers.clip), CLIP_WIDTH))
        return cls(tokenizers, new_transformer(), new_t5(len(tokenizers.t5), T5_WIDTH), clip)

    @classmethod
    def load(cls, folder: Path) -> "TinyFlux":
        return cls(
            Tokenizers.load(folder),
            FluxTransformer2DModel.from_pretrained(folder, subfolder="transformer").float(),
            T5EncoderModel.from_pretrained(folder, subfolder="text_encoder_2").float(),
            CLIPTextModel.from_pretrained(folder, subfolder="text_encoder").float(),
        ).eval()

    def pipeline(self, vae: AutoencoderKL) -> FluxPipeline:
        return FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False),
            vae=vae,
            text_encoder=self.clip,
            tokenizer=self.tokenizers.clip,
            text_encoder_2=self.t5,
            tokenizer_2=self.tokenizers.t5,
            transformer=self.transformer,
        )

    def encode_prompts(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """T5's tokens [batch, 16, 128], padding not masked, and CLIP's pooled vector [batch, 64].

        As FluxPipeline does it, save that CLIP's padding stops at the longest text.
        """
        ids = clip_ids(self.tokenizers.clip, texts, FLUX_CLIP_TOKENS)
        return self._t5_tokens(texts), self.clip(ids.to(self.device)).pooler_output

    def encode_words(self, words: list[str]) -> Tensor:
        return self._t5_tokens(words)[:, :1]

    def _t5_tokens(self, texts: list[str]) -> Tensor:
        return self.t5(token_ids(self.tokenizers.t5, texts, TEXT_TOKENS).to(self.device))[0]

    def velocity(self, latents: Tensor, text: Tensor, pooled: Tensor, levels: Tensor) -> Tensor:
        side = latents.shape[-1] // 2
        tokens = self.transformer(
            hidden_states=pack(latents),
            encoder_hidden_states=text,
            pooled_projections=pooled,
            timestep=levels,
            img_ids=image_positions(side).to(latents.device),
            txt_ids=torch.zeros(text.shape[1], 3, device=latents.device),
            return_dict=False,
        )[0]
        return unpack(tokens.float(), side)

    def latents_of_noise(self, noise: Tensor) -> Tensor:
        return unpack(noise, GRID)

    def concept_maps(
        self, latents: Tensor, text: Tensor, pooled: Tensor, levels: Tensor, concepts: Tensor
    ) -> list[dict[str, Tensor]]:
        positions = image_positions(latents.shape[-1] // 2).to(latents.device)
        own = concepts.transpose(0, 1).expand(len(latents), -1, -1)
        return concept_maps(self.transformer, pack(latents), text, pooled, levels, positions, own)


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
    start_modulation_at_zero(transformer)
    return transformer


def copy_tokenizer_files(tokenizers: Path, out: Path) -> None:
    """FLUX.1 has the files of the older tokenizers too."""
    for file in ("tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer_2/spiece.model"):
        shutil.copy(tokenizers / file, out / file)


def pack(latents: Tensor) -> Tensor:
    """[batch, 16, height, width] as tokens [batch, height / 2 * width / 2, 64], as FluxPipeline."""
    batch, channels, height, width = latents.shape
    patches = latents.view(batch, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, 4 * channels)


def unpack(tokens: Tensor, side: int) -> Tensor:
    """The inverse for `side * side` tokens."""
    patches = tokens.unflatten(-1, (-1, 2, 2)).unflatten(1, (side, side))
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), -1, 2 * side, 2 * side)


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
