"""Seeded weights in the formats of published checkpoints, written one tensor at a time: safetensors and GGUF.

A tensor's bytes depend on the seed and its name alone. Matrices have the spread that keeps activations their size
(1 / sqrt(inputs)), vectors of norms are 1, biases small.
"""
import json
import os
import struct
import zlib

import numpy as np

# Of GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Number, weights and bytes of a block.
GGUF_TYPES = {
    "f32": (0, 1, 4), "f16": (1, 1, 2), "bf16": (30, 1, 2),
    "Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210),
}
CHUNK = 1 << 24


def _generator(seed, name):
    return np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))


def _dense(rng, count, kind, spread):
    """Numbers of both signs between spread / 2 and 2 * spread, in chunks of bytes."""
    while count > 0:
        n = min(count, CHUNK)
        count -= n
        random = rng.integers(0, 1 << 16, n, dtype=np.uint16)
        exponent = np.uint16(127 + int(np.floor(np.log2(spread))))
        bits = (random & 0x807F) | ((exponent - (random >> 7 & 1)) << np.uint16(7))
        if kind == "bf16":
            yield bits.astype("<u2").tobytes()
        else:
            values = (bits.astype(np.uint32) << 16).view(np.float32)
            yield values.astype("<f4" if kind == "f32" else "<f2").tobytes()


def _scale(value, count):
    return np.broadcast_to(np.frombuffer(np.float16(value).tobytes(), np.uint8), (count, 2))


def _blocks(rng, count, kind, spread):
    """Blocks whose quants and 6-bit scales are random; the block's own scale makes the spread."""
    _, weights, size = GGUF_TYPES[kind]
    blocks = count // weights
    while blocks > 0:
        n = min(blocks, CHUNK // size)
        blocks -= n
        data = np.frombuffer(rng.bytes(n * size), np.uint8).reshape(n, size).copy()
        if kind == "Q8_0":
            data[:, :2] = _scale(spread / 73.9, n)
        elif kind == "Q4_0":
            data[:, :2] = _scale(spread / 4.64, n)
        elif kind in ("Q4_K", "Q5_K"):
            # scale * quant - minimum, whose means cancel: 7.5 or 15.5 is the quants' mean.
            middle = 7.5 if kind == "Q4_K" else 15.5
            d = spread / (245 if kind == "Q4_K" else 500)
            data[:, :2], data[:, 2:4] = _scale(d, n), _scale(d * middle, n)
        else:
            data[:, 208:] = _scale(spread / 1360, n)
        yield data.tobytes()


def spread_of(name, shape):
    return 1.0 if len(shape) < 2 else float(np.prod(shape[1:])) ** -0.5


def tensor_bytes(seed, name, shape, kind):
    rng, count = _generator(seed, name), int(np.prod(shape))
    if len(shape) < 2:
        value = 1.0 if name.endswith(("scale", "norm.weight", "ln_q.weight", "ln_k.weight")) or (
            "norm" in name and name.endswith("weight")) else 0.0
        values = np.full(count, value, np.float32) + 0.01 * rng.standard_normal(count, dtype=np.float32)
        yield (values.view(np.uint32) >> 16).astype("<u2").tobytes() if kind == "bf16" else values.astype(
            "<f4" if kind == "f32" else "<f2").tobytes()
    elif kind in ("f32", "f16", "bf16"):
        yield from _dense(rng, count, kind, spread_of(name, shape))
    else:
        yield from _blocks(rng, count, kind, spread_of(name, shape))


def byte_count(shape, kind):
    _, weights, size = GGUF_TYPES[kind]
    return int(np.prod(shape)) // weights * size


class _Output:
    """Written beside and renamed; what is written leaves the page cache, so that a measurement starts cold."""

    def __init__(self, path):
        self.path, self.file = path, open(path + ".part", "wb", buffering=1 << 22)

    def __enter__(self):
        return self.file

    def __exit__(self, kind, *_):
        self.file.flush()
        os.fsync(self.file.fileno())
        os.posix_fadvise(self.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.file.close()
        os.remove(self.path + ".part") if kind else os.replace(self.path + ".part", self.path)


def write_safetensors(path, tensors, seed):
    """tensors: name -> (shape, "f32" | "f16" | "bf16")."""
    header, offset = {}, 0
    for name, (shape, kind) in tensors.items():
        size = byte_count(shape, kind)
        header[name] = {"dtype": kind.upper(), "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with _Output(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, (shape, kind) in tensors.items():
            for chunk in tensor_bytes(seed, name, shape, kind):
                file.write(chunk)


def write_gguf(path, tensors, seed, architecture):
    """tensors: name -> (shape, type of GGUF_TYPES)."""
    def text(value):
        value = value.encode()
        return struct.pack("<Q", len(value)) + value

    alignment, offset, infos = 32, 0, b""
    for name, (shape, kind) in tensors.items():
        infos += text(name) + struct.pack("<I", len(shape))
        infos += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", GGUF_TYPES[kind][0], offset)
        offset += byte_count(shape, kind) + -byte_count(shape, kind) % alignment
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    head += text("general.name") + struct.pack("<I", 8) + text("synthetic") + infos
    with _Output(path) as file:
        file.write(head + b"\0" * (-len(head) % alignment))
        for name, (shape, kind) in tensors.items():
            for chunk in tensor_bytes(seed, name, shape, kind):
                file.write(chunk)
            file.write(b"\0" * (-byte_count(shape, kind) % alignment))
