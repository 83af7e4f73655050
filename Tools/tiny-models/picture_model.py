"""What training, evaluation and sampling need of a picture model, whatever its family."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer, T5TokenizerFast

# The maps of a block, each [batch, concepts, image tokens]:
#   output    concept attention output . image attention output, before the output projections
#   cross     image query . concept key, without rotary embedding, summed over the heads
#   cross_ck  concept query . image key, likewise
SPACES = ("output", "cross", "cross_ck")


@dataclass(frozen=True)
class Tokenizers:
    clip: CLIPTokenizer
    t5: T5TokenizerFast

    @classmethod
    def load(cls, folder: Path, t5: str = "tokenizer_2") -> "Tokenizers":
        """From `tokenizer` and another folder beside it."""
        return cls(
            CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            T5TokenizerFast.from_pretrained(folder / t5),
        )


class PictureModel(nn.Module):
    """A transformer and its text encoders, which are trained together.

    Latents are [batch, 16, height, width] of unit variance; a prompt is its tokens' states
    [batch, tokens, width] and a pooled vector [batch, pooled_width].
    """

    family: ClassVar[str]
    pooled_width: ClassVar[int]
    # Shape of the noise that evaluation draws; tokens where the family's pipeline packs latents.
    noise_shape: ClassVar[tuple[int, ...]]
    read_outs: ClassVar[int]  # text streams training reads: after each block but the first
    text_output: ClassVar[int] = 0  # of a block's outputs
    transformer: Any

    @classmethod
    def new(cls, tokenizers: Tokenizers) -> Self:
        """With weights from PyTorch's random state."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path) -> Self:
        """An exported model, in float32."""
        raise NotImplementedError

    def pipeline(self, vae: nn.Module) -> Any:
        """A diffusers pipeline of the parts, ready to be saved."""
        raise NotImplementedError

    def encode_prompts(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def encode_words(self, words: list[str]) -> Tensor:
        """The tokens that stand for each word as a concept, [words, tokens, width].

        Each is the first of the word's own tokens, of every text encoder, when it is encoded alone.
        """
        raise NotImplementedError

    def velocity(self, latents: Tensor, text: Tensor, pooled: Tensor, levels: Tensor) -> Tensor:
        """The prediction of noise - picture; levels of noise [batch] from 0 to 1."""
        raise NotImplementedError

    def latents_of_noise(self, noise: Tensor) -> Tensor:
        """Noise of `noise_shape` as latents."""
        return noise

    def concept_maps(
        self, latents: Tensor, text: Tensor, pooled: Tensor, levels: Tensor, concepts: Tensor
    ) -> list[dict[str, Tensor]]:
        """For every block with a text stream its maps by space.

        concepts [concepts, tokens, width] as from `encode_words`.
        """
        raise NotImplementedError

    @property
    def text_blocks(self) -> list[nn.Module]:
        """The blocks with a text stream, each with the text first in its output."""
        return list(self.transformer.transformer_blocks)

    @property
    def device(self) -> torch.device:
        return self.transformer.device
