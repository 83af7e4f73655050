"""tiny-sd3: Stable Diffusion 3.5's layout, very small; how texts become its tokens."""

import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from diffusers.models.embeddings import PatchEmbed, get_2d_sincos_pos_embed_from_grid
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel

from picture_model import PictureModel, Tokenizers
from sd3_maps import concept_maps
from sizes import GRID, LATENT_CHANNELS, SD3_CLIP_TOKENS, TEXT_TOKENS
from text_encoders import clip_config, new_t5, start_modulation_at_zero, token_ids

T5_WIDTH, CLIP_L_WIDTH, CLIP_G_WIDTH = 128, 32, 96


class TinySD3(PictureModel):
    family = "sd3"
    read_outs = 4  # the last block puts out no text
    pooled_width = CLIP_L_WIDTH + CLIP_G_WIDTH
    noise_shape = (1, LATENT_CHANNELS, 2 * GRID, 2 * GRID)

    def __init__(
        self,
        tokenizers: Tokenizers,
        transformer: SD3Transformer2DModel,
        t5: T5EncoderModel,
        clip_l: CLIPTextModelWithProjection,
        clip_g: CLIPTextModelWithProjection,
    ):
        super().__init__()
        self.tokenizers = tokenizers
        self.transformer, self.t5, self.clip_l, self.clip_g = transformer, t5, clip_l, clip_g
        transformer.pos_embed.__class__ = StretchedPatchEmbed

    @classmethod
    def new(cls, tokenizers: Tokenizers) -> "TinySD3":
        def clip(width: int, heads: int, activation: str) -> CLIPTextModelWithProjection:
            config = clip_config(len(tokenizers.clip), width, heads, SD3_CLIP_TOKENS, activation)
            return CLIPTextModelWithProjection(config)

        return cls(
            tokenizers,
            new_transformer(),
            new_t5(len(tokenizers.t5), T5_WIDTH),
            clip(CLIP_L_WIDTH, 2, "quick_gelu"),
            clip(CLIP_G_WIDTH, 3, "gelu"),
        )

    @classmethod
    def load(cls, folder: Path) -> "TinySD3":
        def clip(name: str) -> CLIPTextModelWithProjection:
            return CLIPTextModelWithProjection.from_pretrained(folder, subfolder=name).float()

        return cls(
            Tokenizers.load(folder, t5="tokenizer_3"),
            SD3Transformer2DModel.from_pretrained(folder, subfolder="transformer").float(),
            T5EncoderModel.from_pretrained(folder, subfolder="text_encoder_3").float(),
            clip("text_encoder"),
            clip("text_encoder_2"),
        ).eval()

    def pipeline(self, vae: AutoencoderKL) -> StableDiffusion3Pipeline:
        clip = CLIPTokenizer.from_pretrained(
            self.tokenizers.clip.name_or_path, model_max_length=SD3_CLIP_TOKENS
        )
        return StableDiffusion3Pipeline(
            transformer=self.transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
            vae=vae,
            text_encoder=self.clip_l,
            tokenizer=clip,
            text_encoder_2=self.clip_g,
            tokenizer_2=clip,
            text_encoder_3=self.t5,
            tokenizer_3=self.tokenizers.t5,
        )

    def encode_prompts(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """CLIP's tokens and T5's, [batch, 18 + 16, 128], and the pooled vectors [batch, 128].

        As StableDiffusion3Pipeline does it: CLIP's states before the last layer, side by side.
        """
        ids = token_ids(self.tokenizers.clip, texts, SD3_CLIP_TOKENS).to(self.device)
        clips = [clip(ids, output_hidden_states=True) for clip in (self.clip_l, self.clip_g)]
        states = torch.cat([clip.hidden_states[-2] for clip in clips], -1)
        pooled = torch.cat([clip.text_embeds for clip in clips], -1)
        t5 = self.t5(token_ids(self.tokenizers.t5, texts, TEXT_TOKENS).to(self.device))[0]
        states = F.pad(states, (0, t5.shape[-1] - states.shape[-1]))
        return torch.cat([states, t5], 1), pooled

    def encode_words(self, words: list[str]) -> Tensor:
        """CLIP's and T5's first token of each word; CLIP's comes after the start token."""
        states = self.encode_prompts(words)[0]
        return states[:, [1, SD3_CLIP_TOKENS]]

    def velocity(self, latents: Tensor, text: Tensor, pooled: Tensor, levels: Tensor) -> Tensor:
        return self.transformer(
            hidden_states=latents,
            encoder_hidden_states=text,
            pooled_projections=pooled,
            timestep=levels * 1000,
            return_dict=False,
        )[0].float()

    def concept_maps(
        self, latents: Tensor, text: Tensor, pooled: Tensor, levels: Tensor, concepts: Tensor
    ) -> list[dict[str, Tensor]]:
        return concept_maps(self.transformer, latents, text, pooled, levels, concepts)


def new_transformer() -> SD3Transformer2DModel:
    transformer = SD3Transformer2DModel(
        sample_size=2 * GRID,
        patch_size=2,
        in_channels=LATENT_CHANNELS,
        num_layers=6,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=T5_WIDTH,
        caption_projection_dim=128,
        pooled_projection_dim=CLIP_L_WIDTH + CLIP_G_WIDTH,
        out_channels=LATENT_CHANNELS,
        pos_embed_max_size=GRID,
        dual_attention_layers=(0, 1, 2),
        qk_norm="rms_norm",
    )
    start_modulation_at_zero(transformer)
    return transformer


class StretchedPatchEmbed(PatchEmbed):
    """A token of a smaller picture stands where the part of the scene it shows stands.

    In a full picture this is the same as the class that the exported model is loaded with.
    """

    def cropped_pos_embed(self, height: int, width: int) -> Tensor:
        """[1, tokens, width] for latents of height x width."""

        def places(latents: int) -> Tensor:
            stretch = 2 * GRID / latents
            steps = torch.arange(latents // 2, dtype=torch.float32, device=self.pos_embed.device)
            return steps * stretch + (stretch - 1) / 2

        grid = torch.stack(torch.meshgrid(places(width), places(height), indexing="xy"))
        table = get_2d_sincos_pos_embed_from_grid(self.pos_embed.shape[-1], grid)
        return table.to(self.pos_embed.dtype)[None]


def copy_tokenizer_files(tokenizers: Path, out: Path) -> None:
    """Stable Diffusion 3 has the files of the older tokenizers too."""
    for folder in ("tokenizer", "tokenizer_2"):
        for file in ("vocab.json", "merges.txt"):
            shutil.copy(tokenizers / "tokenizer" / file, out / folder / file)
    shutil.copy(tokenizers / "tokenizer_2/spiece.model", out / "tokenizer_3/spiece.model")
