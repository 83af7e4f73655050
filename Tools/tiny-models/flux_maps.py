"""ConceptAttention on a FLUX transformer, written in PyTorch apart from the Swift code it checks.

In every double block a stream of concept tokens is carried along. A concept token begins as the
first T5 token of its word encoded alone, put through `context_embedder`; its position ids are
zero, its pooled vector is zero, and it uses the weights of the text stream. It reads the concept
tokens and the image tokens; nothing reads it. (arXiv 2502.04320, section 4.)
"""

import math

import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor

from attention_parts import attend, image_qkv, text_qkv, update


@torch.no_grad()
def concept_maps(
    transformer: FluxTransformer2DModel,
    image: Tensor,
    text: Tensor,
    pooled: Tensor,
    levels: Tensor,
    positions: Tensor,
    concepts: Tensor,
) -> list[dict[str, Tensor]]:
    """One pass through the double blocks.

    image [batch, image tokens, 64], text [batch, text tokens, 128], pooled [batch, 64],
    levels of noise [batch], positions [image tokens, 3], concepts [batch, concepts, 128].
    Returns for every block its maps by space, as `PictureModel.concept_maps`.
    """
    x, text = transformer.x_embedder(image), transformer.context_embedder(text)
    concepts = transformer.context_embedder(concepts)
    conditioning = transformer.time_text_embed(levels * 1000, pooled)
    unconditional = transformer.time_text_embed(levels * 1000, torch.zeros_like(pooled))
    # Text and concepts stand at position zero, where the rotary embedding does nothing.
    rotary = transformer.pos_embed(positions)
    maps = []
    for block in transformer.transformer_blocks:
        attn = block.attn
        image_in, *image_modulation = block.norm1(x, emb=conditioning)
        text_in, *text_modulation = block.norm1_context(text, emb=conditioning)
        concept_in, *concept_modulation = block.norm1_context(concepts, emb=unconditional)
        q_image, k_image, v_image = image_qkv(attn, image_in)
        q_text, k_text, v_text = text_qkv(attn, text_in)
        q_concept, k_concept, v_concept = text_qkv(attn, concept_in)
        q_turned = apply_rotary_emb(q_image, rotary, sequence_dim=2)
        k_turned = apply_rotary_emb(k_image, rotary, sequence_dim=2)

        keys, values = torch.cat([k_text, k_turned], 2), torch.cat([v_text, v_image], 2)
        text_out = attend(q_text, keys, values)
        image_out = attend(q_turned, keys, values)
        keys, values = torch.cat([k_concept, k_turned], 2), torch.cat([v_concept, v_image], 2)
        concept_out = attend(q_concept, keys, values)

        scale = 1 / math.sqrt(q_image.shape[-1])
        maps.append(
            {
                "output": concept_out @ image_out.transpose(1, 2),
                "cross": (k_concept @ q_image.transpose(-1, -2)).sum(1) * scale,
                "cross_ck": (q_concept @ k_image.transpose(-1, -2)).sum(1) * scale,
            }
        )
        x = update(x, image_out, image_modulation, attn.to_out[0], block.norm2, block.ff)
        to_text = (attn.to_add_out, block.norm2_context, block.ff_context)
        text = update(text, text_out, text_modulation, *to_text)
        concepts = update(concepts, concept_out, concept_modulation, *to_text)
    return maps
