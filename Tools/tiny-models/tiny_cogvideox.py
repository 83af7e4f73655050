"""tiny-cogvideox: CogVideoX-5b's layout, very small; how clips and texts become its tokens."""

import shutil
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from torch import Tensor, nn
from transformers import T5EncoderModel, T5TokenizerFast

from clips import CLIP_SIZE, FRAMES
from cogvideox_maps import concept_maps
from sizes import TEXT_TOKENS
from text_encoders import new_t5, start_modulation_at_zero, token_ids
from video_autoencoder import CLIP_LATENT_CHANNELS, SPACE, TIME

T5_WIDTH = 128
HEAD_WIDTH = 32
CLIP_GRID = CLIP_SIZE // SPACE // 2  # tokens per side
LATENT_FRAMES = (FRAMES - 1) // TIME + 1


class TinyCogVideoX(nn.Module):
    """The transformer and its text encoder, which are trained together.

    Latents are [batch, frames, 16, height, width] of unit variance, a prompt its tokens' states
    [batch, 16, 128]; there is no pooled vector.
    """

    read_outs: ClassVar[int] = 5  # text streams training reads: after each block but the first
    text_output: ClassVar[int] = 1  # of a block's outputs

    def __init__(
        self,
        tokenizer: T5TokenizerFast,
        transformer: CogVideoXTransformer3DModel,
        t5: T5EncoderModel,
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.transformer, self.t5 = transformer, t5
        self.scheduler = new_scheduler()

    @classmethod
    def new(cls, tokenizer: T5TokenizerFast) -> "TinyCogVideoX":
        return cls(tokenizer, new_transformer(), new_t5(len(tokenizer), T5_WIDTH))

    @classmethod
    def load(cls, folder: Path) -> "TinyCogVideoX":
        return cls(
            T5TokenizerFast.from_pretrained(folder / "tokenizer"),
            CogVideoXTransformer3DModel.from_pretrained(folder, subfolder="transformer").float(),
            T5EncoderModel.from_pretrained(folder, subfolder="text_encoder").float(),
        ).eval()

    def pipeline(self, vae: AutoencoderKLCogVideoX) -> CogVideoXPipeline:
        return CogVideoXPipeline(
            tokenizer=self.tokenizer,
            text_encoder=self.t5,
            vae=vae,
            transformer=self.transformer,
            scheduler=self.scheduler,
        )

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def inner_dim(self) -> int:
        return self.transformer.config.num_attention_heads * HEAD_WIDTH

    @property
    def text_blocks(self) -> list[nn.Module]:
        return list(self.transformer.transformer_blocks)

    def encode_prompts(self, texts: list[str]) -> Tensor:
        """[batch, 16, 128], padding not masked, as CogVideoXPipeline does it."""
        return self.t5(token_ids(self.tokenizer, texts, TEXT_TOKENS).to(self.device))[0]

    def encode_words(self, words: list[str]) -> Tensor:
        """The first T5 token of each word encoded alone, [words, 128]: a concept token."""
        return self.encode_prompts(words)[:, 0]

    def noised(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Latents at timesteps [batch] from 0 to 999, and the velocity to be predicted there."""
        kept = self.scheduler.alphas_cumprod.to(clean.device)[timesteps].float()
        signal, share = (x[:, None, None, None, None] for x in (kept.sqrt(), (1 - kept).sqrt()))
        return signal * clean + share * noise, signal * noise - share * clean

    def nearest_timesteps(self, levels: Tensor) -> Tensor:
        """Those at which the noise's factor is nearest to levels [batch] of 0 to 1."""
        factors = (1 - self.scheduler.alphas_cumprod.double()).sqrt().to(levels.device)
        return (factors - levels[:, None].double()).abs().argmin(1)

    def velocity(self, latents: Tensor, text: Tensor, timesteps: Tensor) -> Tensor:
        return self.transformer(
            hidden_states=latents,
            encoder_hidden_states=text,
            timestep=timesteps,
            image_rotary_emb=rotary(latents),
            return_dict=False,
        )[0].float()

    def concept_maps(
        self, latents: Tensor, text: Tensor, timesteps: Tensor, concepts: Tensor
    ) -> list[dict[str, Tensor]]:
        own = concepts.expand(len(latents), -1, -1)
        return concept_maps(self.transformer, latents, text, timesteps, rotary(latents), own)


def rotary(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the tokens' positions, as CogVideoXPipeline has them."""
    side = latents.shape[-1] // 2
    return get_3d_rotary_pos_embed(
        embed_dim=HEAD_WIDTH,
        crops_coords=((0, 0), (CLIP_GRID, CLIP_GRID)),
        grid_size=(side, side),
        temporal_size=latents.shape[1],
        device=latents.device,
    )


def new_transformer() -> CogVideoXTransformer3DModel:
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=HEAD_WIDTH,
        in_channels=CLIP_LATENT_CHANNELS,
        out_channels=CLIP_LATENT_CHANNELS,
        time_embed_dim=128,
        text_embed_dim=T5_WIDTH,
        num_layers=6,
        sample_width=2 * CLIP_GRID,
        sample_height=2 * CLIP_GRID,
        sample_frames=FRAMES,
        patch_size=2,
        temporal_compression_ratio=TIME,
        max_text_seq_length=TEXT_TOKENS,
        use_rotary_positional_embeddings=True,
    )
    start_modulation_at_zero(transformer)
    return transformer


def new_scheduler() -> CogVideoXDDIMScheduler:
    """CogVideoX-5b's: v-prediction, no signal left at the end."""
    return CogVideoXDDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=1.0,
        timestep_spacing="trailing",
    )


def copy_tokenizer_files(tokenizers: Path, out: Path) -> None:
    """CogVideoX has the file of the older tokenizer too."""
    shutil.copy(tokenizers / "clips/spiece.model", out / "tokenizer/spiece.model")
