"""ConceptAttention on an SD3 transformer, written in PyTorch apart from the Swift code it checks.

In every joint block a stream of concept tokens is carried along: for each concept one token of
CLIP and one of T5, each the first of its word encoded alone. It is modulated as the prompt is and
uses the weights of the text stream. It reads the concept tokens and the image tokens; nothing
reads it. What attention makes of a concept's tokens is averaged. (arXiv 2502.04320, section 4.)
"""

import math

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor

from attention_parts import attend, image_qkv, text_qkv, update


@torch.no_grad()
def concept_maps(
    transformer: SD3Transformer2DModel,
    latents: Tensor,
    text: Tensor,
    pooled: Tensor,
    levels: Tensor,
    concepts: Tensor,
) -> list[dict[str, Tensor]]:
    """One pass through the blocks.

    latents [batch, 16, height, width], text [batch, text tokens, 128], pooled [batch, 128],
    levels of noise [batch], concepts [concepts, tokens of each, 128].
    Returns for every block its maps by space, as `PictureModel.concept_maps`.
    """
    count = len(concepts)
    own = concepts.transpose(0, 1).flatten(0, 1).expand(len(latents), -1, -1)
    conditioning = transformer.time_text_embed(levels * 1000, pooled)
    x = transformer.pos_embed(latents)
    text, own = transformer.context_embedder(text), transformer.context_embedder(own)
    maps = []
    for block in transformer.transformer_blocks:
        attn, last = block.attn, block.context_pre_only
        image_in, *image_modulation = block.norm1(x, emb=conditioning)
        if last:
            text_in, own_in = (block.norm1_context(s, conditioning) for s in (text, own))
        else:
            text_in, *modulation = block.norm1_context(text, emb=conditioning)
            own_in = block.norm1_context(own, emb=conditioning)[0]
        q_image, k_image, v_image = image_qkv(attn, image_in)
        q_text, k_text, v_text = text_qkv(attn, text_in)
        q_own, k_own, v_own = text_qkv(attn, own_in)

        keys, values = torch.cat([k_image, k_text], 2), torch.cat([v_image, v_text], 2)
        image_out, text_out = attend(q_image, keys, values), attend(q_text, keys, values)
        keys, values = torch.cat([k_image, k_own], 2), torch.cat([v_image, v_own], 2)
        own_out = attend(q_own, keys, values)

        scale = 1 / math.sqrt(q_image.shape[-1])
        query, key = (_per_concept(t, count) for t in (q_own, k_own))
        maps.append(
            {
                "output": _per_concept(own_out, count) @ image_out.transpose(1, 2),
                "cross": (key @ q_image.transpose(-1, -2)).sum(1) * scale,
                "cross_ck": (query @ k_image.transpose(-1, -2)).sum(1) * scale,
            }
        )
        dual: Tensor | float = 0.0
        if block.use_dual_attention:
            *image_modulation, dual_in, dual_gate = image_modulation
            attended = attend(*image_qkv(block.attn2, dual_in))
            dual = dual_gate[:, None] * block.attn2.to_out[0](attended)
        to_image = (attn.to_out[0], block.norm2, block.ff)
        x = update(x, image_out, image_modulation, *to_image, more=dual)
        if not last:
            to_text = (attn.to_add_out, block.norm2_context, block.ff_context)
            text = update(text, text_out, modulation, *to_text)
            own = update(own, own_out, modulation, *to_text)
    return maps


def _per_concept(x: Tensor, count: int) -> Tensor:
    """The mean over each concept's tokens, [..., concepts, dim]."""
    return x.unflatten(-2, (-1, count)).mean(-3)
