"""ConceptAttention on a CogVideoX transformer, apart from the Swift code it checks.

In every block a stream of concept tokens is carried along, one for each concept: the first T5
token of its word encoded alone. It is modulated and projected as the text is, reads the concept
tokens and the video tokens, and nothing reads it. (arXiv 2502.04320, section 4 and appendix.)
"""

import math

import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor, nn

from attention_parts import attend, image_qkv


@torch.no_grad()
def concept_maps(
    transformer: CogVideoXTransformer3DModel,
    latents: Tensor,
    text: Tensor,
    timesteps: Tensor,
    rotary: tuple[Tensor, Tensor],
    concepts: Tensor,
) -> list[dict[str, Tensor]]:
    """One pass through the blocks.

    latents [batch, frames, 16, height, width], text [batch, text tokens, 128], timesteps [batch],
    concepts [batch, concepts, 128]. Returns for every block its maps by space, each
    [batch, concepts, frames * tokens of a frame].
    """
    emb = transformer.time_embedding(transformer.time_proj(timesteps).to(latents.dtype))
    joined = transformer.patch_embed(text, latents)
    text, x = joined.split([text.shape[1], joined.shape[1] - text.shape[1]], 1)
    own = transformer.patch_embed.text_proj(concepts)
    maps = []
    for block in transformer.transformer_blocks:
        x_in, text_in, gate, text_gate = block.norm1(x, text, emb)
        own_in = block.norm1(x, own, emb)[1]
        (q_x, k_x, v_x), (q_text, k_text, v_text), (q_own, k_own, v_own) = (
            image_qkv(block.attn1, tokens) for tokens in (x_in, text_in, own_in)
        )
        q_turned, k_turned = (apply_rotary_emb(t, rotary) for t in (q_x, k_x))

        keys, values = torch.cat([k_text, k_turned], 2), torch.cat([v_text, v_x], 2)
        x_out, text_out = attend(q_turned, keys, values), attend(q_text, keys, values)
        keys, values = torch.cat([k_own, k_turned], 2), torch.cat([v_own, v_x], 2)
        own_out = attend(q_own, keys, values)

        scale = 1 / math.sqrt(q_x.shape[-1])
        maps.append(
            {
                "output": own_out @ x_out.transpose(1, 2),
                "cross": (k_own @ q_x.transpose(-1, -2)).sum(1) * scale,
                "cross_ck": (q_own @ k_x.transpose(-1, -2)).sum(1) * scale,
            }
        )
        project = block.attn1.to_out[0]
        x, text = x + gate * project(x_out), text + text_gate * project(text_out)
        own = own + text_gate * project(own_out)
        own = _fed_forward(block, x, own, emb)[1]
        x, text = _fed_forward(block, x, text, emb)
    return maps


def _fed_forward(block: nn.Module, x: Tensor, text: Tensor, emb: Tensor) -> tuple[Tensor, Tensor]:
    x_in, text_in, gate, text_gate = block.norm2(x, text, emb)
    return x + gate * block.ff(x_in), text + text_gate * block.ff(text_in)
