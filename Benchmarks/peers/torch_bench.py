#!/usr/bin/env python3
"""The cases of ../cases.json in PyTorch on the CPU, in the same records as ours.

Alone:   torch_bench.py [--filter REGEX] [--dtype T] [--slow] [--threads N] [--runs N] [--seconds S] [--compile]
         prints one JSON line per case.
In turn: torch_bench.py --serve [--threads N] [--compile]
         answers one line {"case": NAME, "runs": N, "seconds": S} at a time, for `bench peers`.

Inputs are the same numbers as ours (see Inputs.swift), contiguous, and reused by every run.
"""
import math
import os
import tempfile

import protocol
from protocol import Probed

parser = protocol.parser(__doc__)
parser.add_argument("--compile", action="store_true", help="through torch.compile (needs a C++ compiler)")
arguments = parser.parse_args()
# Before the import: MKL and OpenMP read them once.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(arguments.threads)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def values(shape, seed, scale=1.0, dtype=torch.float32):
    return torch.from_numpy(protocol.values(shape, seed, scale)).to(dtype)


# Every operation returns a function of no arguments; its result, or what `Probed` says, is probed.


def linear(s, dtype):
    weight_type = DTYPES.get(dtype, torch.bfloat16)
    activation_type = torch.bfloat16 if dtype == "bf16" else torch.float32
    x = values((s["m"], s["k"]), 1, dtype=activation_type)
    weight = values((s["n"], s["k"]), 2, 0.05, weight_type)
    bias = values((s["n"],), 3, dtype=weight_type)
    if dtype == "mixed":
        return lambda: F.linear(x.to(torch.bfloat16), weight, bias).to(torch.float32)
    if dtype == "f16":
        return lambda: F.linear(x.to(torch.float16), weight, bias).to(torch.float32)
    return lambda: F.linear(x, weight, bias)


def attention(s, dtype):
    q = values((1, s["heads"], s["queries"], s["width"]), 1, 2, DTYPES[dtype])
    k = values((1, s["heads"], s["keys"], s["width"]), 2, 2, DTYPES[dtype])
    v = values((1, s["heads"], s["keys"], s["width"]), 3, 1, DTYPES[dtype])
    return lambda: F.scaled_dot_product_attention(q, k, v)


def conv2d(s, dtype):
    x = values((1, s["in"], s["size"], s["size"]), 1, dtype=DTYPES[dtype])
    weight = values((s["out"], s["in"], 3, 3), 2, 0.05, DTYPES[dtype])
    bias = values((s["out"],), 3, dtype=DTYPES[dtype])
    return lambda: F.conv2d(x, weight, bias, padding=1)


def norm_modulate(s, dtype):
    x = values((1, s["rows"], s["columns"]), 1)
    scale, shift = values((1, 1, s["columns"]), 2), values((1, 1, s["columns"]), 3)
    return lambda: F.layer_norm(x, (s["columns"],), eps=1e-6) * (1 + scale) + shift


def gelu(s, dtype):
    x = values((s["rows"], s["columns"]), 1, 4)
    return lambda: F.gelu(x, approximate="tanh")


def softmax(s, dtype):
    x = values((s["rows"], s["columns"]), 1, 4)
    return lambda: torch.softmax(x, -1)


def rope(s, dtype):
    """diffusers' apply_rotary_emb with use_real_unbind_dim=-1."""
    x = values((1, s["heads"], s["tokens"], s["width"]), 1)
    angles = values((s["tokens"], s["width"] // 2), 2, 3).repeat_interleave(2, 1)
    cosine, sine = angles.cos(), angles.sin()

    def run():
        real, imaginary = x.reshape(*x.shape[:-1], -1, 2).unbind(-1)
        rotated = torch.stack([-imaginary, real], dim=-1).flatten(3)
        return x * cosine[None, None] + rotated * sine[None, None]

    return run


def convert(s, dtype):
    x = values((s["rows"], s["columns"]), 1, dtype=DTYPES[dtype])
    target = torch.bfloat16 if dtype == "f32" else torch.float32
    return lambda: x.to(target)


def transpose(s, dtype):
    x = values((s["rows"], s["columns"], s["run"]), 1, dtype=DTYPES[dtype])
    return lambda: x.permute(1, 0, 2).contiguous()


def topk(s, dtype):
    x = values((s["rows"], s["columns"]), 1, dtype=DTYPES[dtype])
    return Probed(lambda: torch.topk(x, s["count"]), lambda result: result.values)


def svd(s, dtype):
    x = values((s["rows"], s["columns"]), 1)
    return Probed(lambda: torch.linalg.svd(x, full_matrices=False), lambda result: result.S)


def eigh(s, dtype):
    x = values((s["rows"], s["columns"]), 1)
    symmetric = (x + x.T).contiguous()
    return Probed(lambda: torch.linalg.eigh(symmetric), lambda result: result.eigenvalues)


def qr(s, dtype):
    x = values((s["rows"], s["columns"]), 1)
    return Probed(lambda: torch.linalg.qr(x), lambda result: result.R.diagonal().abs())


def safetensors(s, dtype):
    from safetensors.torch import load_file, save_file

    count = max(1, s["megabytes"] // 16)
    folder = tempfile.TemporaryDirectory(prefix="bench-")
    path = os.path.join(folder.name, "model.safetensors")
    save_file({f"blocks.{i}.weight": torch.full((2048, 4096), i + 1, dtype=torch.bfloat16) for i in range(count)}, path)

    def run(folder=folder):  # holds the folder for as long as it may be called
        return {name: tensor.reshape(-1, 2048)[:, 0].contiguous() for name, tensor in load_file(path).items()}

    return Probed(run, lambda r: torch.stack([r[f"blocks.{i}.weight"][0] for i in range(count)]))


def fill(module):
    """FormulaWeights: every parameter by the formula, with a seed from its name."""
    for name, parameter in module.named_parameters():
        seed = 0x811C9DC5
        for byte in name.encode():
            seed = (seed ^ byte) * 0x01000193 & 0xFFFFFFFF
        if parameter.dim() > 1:
            filled = values(parameter.shape, seed, math.sqrt(3 / math.prod(parameter.shape[1:])))
        else:
            filled = values(parameter.shape, seed, 0.1) + (1 if name.endswith("weight") else 0)
        parameter.data.copy_(filled)
    return module


def block(module, s, dtype, rotary=False, conditioning_dim=None, more=None, image_at=1):
    """A transformer block of diffusers; its image tokens are the result."""
    module = fill(module.to(DTYPES[dtype]).eval())
    image = values((1, s["rows"] * s["columns"], s["dim"]), 1, dtype=DTYPES[dtype])
    text = values((1, s["text"], s["dim"]), 2, dtype=DTYPES[dtype])
    conditioning = values((1, conditioning_dim or s["dim"]), 3, dtype=DTYPES[dtype])
    more = more or {}
    if rotary:
        from diffusers.models.transformers.transformer_flux import FluxPosEmbed

        ids = torch.zeros(s["text"] + s["rows"] * s["columns"], 3)
        ids[s["text"] :, 1] = torch.arange(s["rows"]).repeat_interleave(s["columns"])
        ids[s["text"] :, 2] = torch.arange(s["columns"]).repeat(s["rows"])
        more["image_rotary_emb"] = FluxPosEmbed(theta=10000, axes_dim=[16, 56, 56])(ids)
    return lambda: module(hidden_states=image, encoder_hidden_states=text, temb=conditioning, **more)[image_at]


def flux_double(s, dtype):
    from diffusers.models.transformers.transformer_flux import FluxTransformerBlock

    return block(FluxTransformerBlock(s["dim"], s["heads"], s["dim"] // s["heads"]), s, dtype, rotary=True)


def flux_double_gradient(s, dtype):
    """There and back: the gradient of the image tokens' product with a direction, weights frozen."""
    from diffusers.models.transformers.transformer_flux import FluxPosEmbed, FluxTransformerBlock

    module = FluxTransformerBlock(s["dim"], s["heads"], s["dim"] // s["heads"])
    module = fill(module.to(DTYPES[dtype]).eval()).requires_grad_(False)
    shape = (1, s["rows"] * s["columns"], s["dim"])
    image, direction = (values(shape, seed, dtype=DTYPES[dtype]) for seed in (1, 4))
    text = values((1, s["text"], s["dim"]), 2, dtype=DTYPES[dtype])
    conditioning = values((1, s["dim"]), 3, dtype=DTYPES[dtype])
    ids = torch.zeros(s["text"] + s["rows"] * s["columns"], 3)
    ids[s["text"] :, 1] = torch.arange(s["rows"]).repeat_interleave(s["columns"])
    ids[s["text"] :, 2] = torch.arange(s["columns"]).repeat(s["rows"])
    rotary = FluxPosEmbed(theta=10000, axes_dim=[16, 56, 56])(ids)
    image.requires_grad_()

    def run():
        image.grad = None
        with torch.enable_grad():
            output = module(
                hidden_states=image, encoder_hidden_states=text, temb=conditioning, image_rotary_emb=rotary)[1]
            output.backward(direction)
        return image.grad.detach()

    return run


def flux_single(s, dtype):
    from diffusers.models.transformers.transformer_flux import FluxSingleTransformerBlock

    return block(FluxSingleTransformerBlock(s["dim"], s["heads"], s["dim"] // s["heads"]), s, dtype, rotary=True)


def sd3_joint(s, dtype):
    from diffusers.models.attention import JointTransformerBlock

    return block(JointTransformerBlock(s["dim"], s["heads"], s["dim"] // s["heads"], qk_norm="rms_norm"), s, dtype)


def cogvideox_block(s, dtype):
    from diffusers.models.embeddings import get_3d_rotary_pos_embed
    from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock

    size, head_dim = (s["rows"] // s["frames"], s["columns"]), s["dim"] // s["heads"]
    rotary = get_3d_rotary_pos_embed(head_dim, None, size, s["frames"], grid_type="slice", max_size=size)
    module = CogVideoXBlock(s["dim"], s["heads"], head_dim, time_embed_dim=512, attention_bias=True)
    return block(module, s, dtype, conditioning_dim=512, more={"image_rotary_emb": rotary}, image_at=0)


def image_decoder(s, dtype):
    from diffusers import AutoencoderKL

    module = AutoencoderKL(
        latent_channels=16, block_out_channels=(128, 256, 512, 512), layers_per_block=2, use_quant_conv=False,
        use_post_quant_conv=False, down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4)
    module = fill(module.to(DTYPES[dtype]).eval())
    latents = values((1, 16, s["size"], s["size"]), 1, dtype=DTYPES[dtype])
    return lambda: module.decode(latents).sample


def cogvideox_decoder(s, dtype):
    from diffusers import AutoencoderKLCogVideoX

    module = fill(AutoencoderKLCogVideoX().to(DTYPES[dtype]).eval())
    module.enable_tiling()
    latents = values((1, 16, s["frames"], s["rows"], s["columns"]), 1, dtype=DTYPES[dtype])
    return lambda: module.decode(latents).sample


OPERATIONS = {
    "linear": linear, "attention": attention, "conv2d": conv2d, "norm-modulate": norm_modulate, "gelu": gelu,
    "softmax": softmax, "rope": rope, "convert": convert, "transpose": transpose, "topk": topk,
    "svd": svd, "eigh": eigh, "qr": qr, "safetensors": safetensors, "flux-double": flux_double,
    "flux-double-gradient": flux_double_gradient, "flux-single": flux_single, "sd3-joint": sd3_joint,
    "cogvideox-block": cogvideox_block, "image-decoder": image_decoder, "cogvideox-decoder": cogvideox_decoder,
}  # fmt: skip


def make(operation, sizes, dtype):
    if operation not in OPERATIONS:
        return None
    made = OPERATIONS[operation](sizes, dtype)
    return torch.compile(made) if arguments.compile and not isinstance(made, Probed) else made


torch.set_num_threads(arguments.threads)
torch.set_grad_enabled(False)
implementation = f"PyTorch {torch.__version__}" + (" compiled" if arguments.compile else "")
protocol.Script(arguments, implementation, torch.get_num_threads(), make).main()
