"""The text encoders' configurations, and texts as their token ids."""

import torch
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTokenizer,
    PreTrainedTokenizerBase,
    T5Config,
    T5EncoderModel,
)


def new_t5(vocabulary: int, width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=width,
            d_kv=32,
            d_ff=2 * width,
            num_layers=2,
            num_heads=width // 32,
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


def clip_config(
    vocabulary: int, width: int, heads: int = 2, tokens: int = 77, activation: str = "quick_gelu"
) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=2,
        num_attention_heads=heads,
        max_position_embeddings=tokens,
        projection_dim=width,
        hidden_act=activation,
        # The ids of the large models, wrong as they are: with an eos_token_id of 2 the pooled
        # token is the one with the highest id, which is the end token.
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str], length: int) -> Tensor:
    """[texts, length], padded and cut to it."""
    return tokenizer(
        texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids


def clip_ids(tokenizer: CLIPTokenizer, texts: list[str], length: int) -> Tensor:
    """[texts, tokens of the longest]: enough for a pooled vector, which sees only what is before."""
    return tokenizer(
        texts, padding=True, max_length=length, truncation=True, return_tensors="pt"
    ).input_ids


def start_modulation_at_zero(transformer: torch.nn.Module) -> None:
    """All modulation and the output begin at zero, as in DiT (adaLN-zero)."""
    zero = ("norm1.linear", "norm1_context.linear", "norm2.linear", "norm.linear")
    for name, module in transformer.named_modules():
        if name.endswith((*zero, "norm_out.linear")) or name == "proj_out":
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
