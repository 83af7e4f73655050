"""Writes a full-size checkpoint of random weights: the names, shapes and block formats of the published one.

    python synthetic_checkpoint.py flux-schnell OUT --transformer Q8_0 --t5 Q8_0

OUT is a model folder for `concept-attention --model OUT --transformer OUT/transformer.gguf …`; the command to run is
printed. The single files have the names their authors gave the weights, so that stable-diffusion.cpp reads them too.
Pictures are noise; times and memory are those of the real thing. A seed gives the same bytes on every machine.
Shapes of autoencoders and of CogVideoX come from diffusers, built on its meta device.
"""
import argparse
import json
import os
import shutil

from synthetic_weights import GGUF_TYPES, write_gguf, write_safetensors

RESOURCES = os.path.join(os.path.dirname(__file__), "../../Sources/EmbeddedModels/Resources")


def linear(tensors, name, outputs, inputs, bias=True):
    tensors[f"{name}.weight"] = (outputs, inputs)
    if bias:
        tensors[f"{name}.bias"] = (outputs,)


def flux(guidance, dim=3072, double=19, single=38):
    t = {}
    linear(t, "img_in", dim, 64)
    linear(t, "txt_in", dim, 4096)
    for name, inputs in [("time_in", 256), ("vector_in", 768)] + ([("guidance_in", 256)] if guidance else []):
        linear(t, f"{name}.in_layer", dim, inputs)
        linear(t, f"{name}.out_layer", dim, dim)
    for i in range(double):
        for side in ("img", "txt"):
            block = f"double_blocks.{i}.{side}"
            linear(t, f"{block}_mod.lin", 6 * dim, dim)
            linear(t, f"{block}_attn.qkv", 3 * dim, dim)
            for norm in ("query", "key"):
                t[f"{block}_attn.norm.{norm}_norm.scale"] = (128,)
            linear(t, f"{block}_attn.proj", dim, dim)
            linear(t, f"{block}_mlp.0", 4 * dim, dim)
            linear(t, f"{block}_mlp.2", dim, 4 * dim)
    for i in range(single):
        block = f"single_blocks.{i}"
        linear(t, f"{block}.linear1", 7 * dim, dim)
        linear(t, f"{block}.linear2", dim, 5 * dim)
        for norm in ("query", "key"):
            t[f"{block}.norm.{norm}_norm.scale"] = (128,)
        linear(t, f"{block}.modulation.lin", 3 * dim, dim)
    linear(t, "final_layer.linear", 64, dim)
    linear(t, "final_layer.adaLN_modulation.1", 2 * dim, dim)
    return t


def sd35(dim, depth, positions, dual):
    t = {"pos_embed": (1, positions * positions, dim), "x_embedder.proj.weight": (dim, 16, 2, 2)}
    t["x_embedder.proj.bias"] = (dim,)
    linear(t, "context_embedder", dim, 4096)
    for name, inputs in (("t_embedder", 256), ("y_embedder", 2048)):
        linear(t, f"{name}.mlp.0", dim, inputs)
        linear(t, f"{name}.mlp.2", dim, dim)

    def attention(name, ends=False):
        linear(t, f"{name}.qkv", 3 * dim, dim)
        for norm in ("ln_q", "ln_k"):
            t[f"{name}.{norm}.weight"] = (64,)
        if not ends:
            linear(t, f"{name}.proj", dim, dim)

    for i in range(depth):
        for side in ("context_block", "x_block"):
            block = f"joint_blocks.{i}.{side}"
            ends, two = side == "context_block" and i == depth - 1, side == "x_block" and i < dual
            linear(t, f"{block}.adaLN_modulation.1", (2 if ends else 9 if two else 6) * dim, dim)
            attention(f"{block}.attn", ends)
            if two:
                attention(f"{block}.attn2")
            if not ends:
                linear(t, f"{block}.mlp.fc1", 4 * dim, dim)
                linear(t, f"{block}.mlp.fc2", dim, 4 * dim)
    linear(t, "final_layer.linear", 64, dim)
    linear(t, "final_layer.adaLN_modulation.1", 2 * dim, dim)
    return t


def t5_xxl(dim=4096, inner=4096, hidden=10240, layers=24, vocabulary=32128, gguf=False):
    """transformers' names, or llama.cpp's."""
    t = {"shared.weight": (vocabulary, dim)}
    for i in range(layers):
        block = f"encoder.block.{i}.layer"
        for name in ("q", "k", "v"):
            t[f"{block}.0.SelfAttention.{name}.weight"] = (inner, dim)
        t[f"{block}.0.SelfAttention.o.weight"] = (dim, inner)
        if i == 0:
            t[f"{block}.0.SelfAttention.relative_attention_bias.weight"] = (32, 64)
        t[f"{block}.0.layer_norm.weight"] = (dim,)
        for name in ("wi_0", "wi_1"):
            t[f"{block}.1.DenseReluDense.{name}.weight"] = (hidden, dim)
        t[f"{block}.1.DenseReluDense.wo.weight"] = (dim, hidden)
        t[f"{block}.1.layer_norm.weight"] = (dim,)
    t["encoder.final_layer_norm.weight"] = (dim,)
    if not gguf:
        return t
    names = {
        "shared": "token_embd", "encoder.final_layer_norm": "enc.output_norm", "0.SelfAttention.q": "attn_q",
        "0.SelfAttention.k": "attn_k", "0.SelfAttention.v": "attn_v", "0.SelfAttention.o": "attn_o",
        "0.SelfAttention.relative_attention_bias": "attn_rel_b", "0.layer_norm": "attn_norm",
        "1.DenseReluDense.wi_0": "ffn_gate", "1.DenseReluDense.wi_1": "ffn_up", "1.DenseReluDense.wo": "ffn_down",
        "1.layer_norm": "ffn_norm",
    }

    def renamed(name):
        module = name.removesuffix(".weight")
        if module.startswith("encoder.block."):
            _, _, layer, _, rest = module.split(".", 4)
            return f"enc.blk.{layer}.{names[rest]}.weight"
        return f"{names[module]}.weight"

    return {renamed(name): shape for name, shape in t.items()}


def clip(dim, layers, projection):
    t = {
        "text_model.embeddings.token_embedding.weight": (49408, dim),
        "text_model.embeddings.position_embedding.weight": (77, dim),
    }
    for i in range(layers):
        layer = f"text_model.encoder.layers.{i}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            linear(t, f"{layer}.self_attn.{name}", dim, dim)
        linear(t, f"{layer}.mlp.fc1", 4 * dim, dim)
        linear(t, f"{layer}.mlp.fc2", dim, 4 * dim)
        for norm in ("layer_norm1", "layer_norm2"):
            t[f"{layer}.{norm}.weight"] = t[f"{layer}.{norm}.bias"] = (dim,)
    t["text_model.final_layer_norm.weight"] = t["text_model.final_layer_norm.bias"] = (dim,)
    if projection:
        t["text_projection.weight"] = (projection, dim)
    return t


def meta_shapes(model):
    """Names and shapes of a diffusers model that is never allocated."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def on_meta(make):
    import torch

    with torch.device("meta"):
        return make()


def autoencoder(scaling, shift):
    from diffusers import AutoencoderKL

    config = dict(
        in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * 4, layers_per_block=2,
        up_block_types=["UpDecoderBlock2D"] * 4, block_out_channels=[128, 256, 512, 512], latent_channels=16,
        scaling_factor=scaling, shift_factor=shift, use_quant_conv=False, use_post_quant_conv=False,
        norm_num_groups=32, sample_size=1024)
    shapes = meta_shapes(on_meta(lambda: AutoencoderKL(**config)))
    return {"_class_name": "AutoencoderKL", "act_fn": "silu", "mid_block_add_attention": True, **config}, shapes


def cogvideox(size):
    from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel

    config = dict(
        num_attention_heads=30 if size == "2b" else 48, attention_head_dim=64, in_channels=16, out_channels=16,
        num_layers=30 if size == "2b" else 42, text_embed_dim=4096, time_embed_dim=512, sample_width=90,
        sample_height=60, sample_frames=49, patch_size=2, max_text_seq_length=226, flip_sin_to_cos=True,
        use_rotary_positional_embeddings=size != "2b")
    transformer = meta_shapes(on_meta(lambda: CogVideoXTransformer3DModel(**config)))
    vae_config = dict(scaling_factor=1.15258426 if size == "2b" else 0.7)
    vae_shapes = meta_shapes(on_meta(lambda: AutoencoderKLCogVideoX(**vae_config)))
    full = on_meta(lambda: AutoencoderKLCogVideoX(**vae_config)).config
    vae = {k: v for k, v in dict(full).items() if not k.startswith("_")}
    return ({"_class_name": "CogVideoXTransformer3DModel", **config}, transformer,
            {"_class_name": "AutoencoderKLCogVideoX", **vae}, vae_shapes)


# MARK: Files

def typed(shapes, kind):
    """Large matrices in the type asked for where its blocks divide them; the rest as files have it."""
    def one(shape):
        if len(shape) < 2:
            return "f32" if kind in GGUF_TYPES and kind[0] == "Q" else kind
        if kind[0] != "Q":
            return kind
        block = GGUF_TYPES[kind][1]
        return kind if len(shape) == 2 and shape[1] % block == 0 and shape[0] * shape[1] >= 1 << 16 else "f16"

    return {name: (shape, one(shape)) for name, shape in shapes.items()}


class Folder:
    def __init__(self, path, pipeline, components, seed):
        self.path, self.seed, self.options = path, seed, []
        os.makedirs(path, exist_ok=True)
        self.json("model_index.json", {"_class_name": pipeline, **components})

    def json(self, name, value):
        os.makedirs(os.path.dirname(os.path.join(self.path, name)), exist_ok=True)
        with open(os.path.join(self.path, name), "w") as file:
            json.dump(value, file, indent=2)

    def weights(self, stem, shapes, kind, architecture="flux", option=None):
        tensors = typed(shapes, kind)
        quantised = kind[0] == "Q"
        name = stem + (".gguf" if quantised else ".safetensors")
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if quantised:
            write_gguf(path, tensors, self.seed, architecture)
        else:
            write_safetensors(path, tensors, self.seed)
        if option:
            self.options.append(f"{option} {path}")
        print(f"{name}: {os.path.getsize(path) / 1e9:.2f} GB", flush=True)

    def copy(self, model, *names):
        for name in names:
            shutil.copytree(os.path.join(RESOURCES, model, name), os.path.join(self.path, name), dirs_exist_ok=True)


def t5_config():
    return dict(
        architectures=["T5EncoderModel"], d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
        vocab_size=32128, relative_attention_num_buckets=32, relative_attention_max_distance=128,
        layer_norm_epsilon=1e-6, feed_forward_proj="gated-gelu")


def clip_config(kind):
    dim, layers, activation = (768, 12, "quick_gelu") if kind == "l" else (1280, 32, "gelu")
    return dict(
        architectures=["CLIPTextModelWithProjection"], vocab_size=49408, hidden_size=dim, intermediate_size=4 * dim,
        num_hidden_layers=layers, num_attention_heads=dim // 64, max_position_embeddings=77, projection_dim=dim,
        hidden_act=activation, layer_norm_eps=1e-5, eos_token_id=2)


def encoder(folder, component, kind, type_, option):
    if kind == "t5":
        folder.json(f"{component}/config.json", t5_config())
        folder.weights("t5xxl", t5_xxl(gguf=type_[0] == "Q"), type_, "t5encoder", option)
    else:
        folder.json(f"{component}/config.json", clip_config(kind))
        dim, layers = (768, 12) if kind == "l" else (1280, 32)
        folder.weights(f"clip_{kind}", clip(dim, layers, dim if kind == "g" else None), "f16", option=option)


def make_flux(args):
    dev = args.model == "flux-dev"
    part = ["transformers", "x"]
    folder = Folder(
        args.out, "FluxPipeline",
        {name: part for name in ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2",
                                 "transformer", "vae")}, args.seed)
    folder.copy("tiny-flux", "scheduler", "tokenizer", "tokenizer_2")
    folder.json("transformer/config.json", dict(
        _class_name="FluxTransformer2DModel", in_channels=64, num_layers=19, num_single_layers=38,
        attention_head_dim=128, num_attention_heads=24, joint_attention_dim=4096, pooled_projection_dim=768,
        guidance_embeds=dev, axes_dims_rope=[16, 56, 56]))
    folder.weights("transformer", flux(dev), args.transformer, "flux", "--transformer")
    encoder(folder, "text_encoder", "l", "f16", "--clip-l")
    encoder(folder, "text_encoder_2", "t5", args.t5, "--t5")
    config, shapes = autoencoder(0.3611, 0.1159)
    folder.json("vae/config.json", config)
    folder.weights("ae", shapes, "bf16", option="--autoencoder")
    return folder


def make_sd35(args):
    folder = Folder(
        args.out, "StableDiffusion3Pipeline",
        {name: ["transformers", "x"] for name in (
            "scheduler", "text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2",
            "tokenizer_3", "transformer", "vae")}, args.seed)
    folder.copy("tiny-sd3", "scheduler", "tokenizer", "tokenizer_2", "tokenizer_3")
    shapes = sd35(2432, 38, 192, 0) if args.model == "sd3.5-large" else sd35(1536, 24, 384, 13)
    folder.weights("transformer", shapes, args.transformer, "sd3", "--transformer")
    encoder(folder, "text_encoder", "l", "f16", "--clip-l")
    encoder(folder, "text_encoder_2", "g", "f16", "--clip-g")
    encoder(folder, "text_encoder_3", "t5", args.t5, "--t5")
    config, shapes = autoencoder(1.5305, 0.0609)
    folder.json("vae/config.json", config)
    folder.weights("ae", shapes, "bf16", option="--autoencoder")
    return folder


def make_cogvideox(args):
    if args.transformer[0] == "Q":
        raise SystemExit("CogVideoX is published as safetensors: --transformer f16 or bf16")
    config, shapes, vae_config, vae_shapes = cogvideox(args.model.removeprefix("cogvideox-"))
    folder = Folder(
        args.out, "CogVideoXPipeline",
        {name: ["transformers", "x"] for name in ("scheduler", "text_encoder", "tokenizer", "transformer", "vae")},
        args.seed)
    folder.copy("tiny-cogvideox", "scheduler", "tokenizer")
    folder.json("transformer/config.json", config)
    folder.weights("transformer/diffusion_pytorch_model", shapes, args.transformer)
    folder.json("vae/config.json", vae_config)
    folder.weights("vae/diffusion_pytorch_model", vae_shapes, "f16")
    encoder(folder, "text_encoder", "t5", args.t5, "--t5")
    return folder


MODELS = {
    "flux-schnell": make_flux, "flux-dev": make_flux, "sd3.5-large": make_sd35, "sd3.5-medium": make_sd35,
    "cogvideox-2b": make_cogvideox, "cogvideox-5b": make_cogvideox,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("out", help="folder to write")
    parser.add_argument("--transformer", choices=[k for k in GGUF_TYPES if k != "f32"], default="bf16")
    parser.add_argument("--t5", choices=[k for k in GGUF_TYPES if k != "f32"], default="f16")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    folder = MODELS[args.model](args)
    print(f"concept-attention generate \"a boat\" --model {args.out} {' '.join(folder.options)}")


if __name__ == "__main__":
    main()
