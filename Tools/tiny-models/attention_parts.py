"""What the concept maps of all families compute alike."""

from torch import Tensor, nn
from torch.nn import functional as F


def heads(x: Tensor, attn: nn.Module) -> Tensor:
    """[batch, tokens, heads * dim] as [batch, heads, tokens, dim]."""
    return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)


def image_qkv(attn: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = (heads(project(x), attn) for project in (attn.to_q, attn.to_k, attn.to_v))
    return attn.norm_q(q), attn.norm_k(k), v


def text_qkv(attn: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    projections = (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
    q, k, v = (heads(project(x), attn) for project in projections)
    return attn.norm_added_q(q), attn.norm_added_k(k), v


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[batch, tokens, heads * dim]"""
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def update(
    x: Tensor,
    attention: Tensor,
    modulation: list[Tensor],
    project: nn.Module,
    norm: nn.Module,
    feed_forward: nn.Module,
    more: Tensor | float = 0.0,
) -> Tensor:
    """The second half of a block for one stream; `more` is added with the attention."""
    gate_attention, shift, scale, gate_mlp = (m[:, None] for m in modulation)
    x = x + gate_attention * project(attention) + more
    return x + gate_mlp * feed_forward(norm(x) * (1 + scale) + shift)
