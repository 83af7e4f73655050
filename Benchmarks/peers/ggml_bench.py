#!/usr/bin/env python3
"""The products of ../cases.json in ggml on the CPU, in the same records as ours.

ggml is built from a checkout of your own (needs cmake and a C++ compiler), into a folder beside it:
    git clone https://github.com/ggml-org/ggml
    ggml_bench.py --checkout ggml --filter linear-blocks

`--instructions avx2` builds for AVX2 without VNNI, as `CK_ISA=avx2 CK_VNNI=0` runs ours; `avx2-vnni` with it; `native` (the
default) for this machine. `--repack` puts weights into ggml's own layout, which it makes when it loads them; without, they are
used as they lie in a mapped file, as ours are.
"""
import ctypes
import os
import pathlib
import subprocess
import sys

import numpy

import protocol

TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q4_0": 2, "q8_0": 8, "q4_K": 12, "q5_K": 13, "q6_K": 14}
BLOCKS = {"q4_0": (32, 18), "q8_0": (32, 34), "q4_K": (256, 144), "q5_K": (256, 176), "q6_K": (256, 210)}
SCALES = {"q4_0": [0], "q8_0": [0], "q4_K": [0, 2], "q5_K": [0, 2], "q6_K": [208]}
AVX2 = ["SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C"]
INSTRUCTIONS = {"native": None, "avx2": AVX2, "avx2-vnni": AVX2 + ["AVX_VNNI"]}


def built(checkout, instructions):
    """The folder with ggml's libraries, built if it is not there."""
    folder = checkout.resolve().parent / f"{checkout.resolve().name}-{instructions}"
    if not (folder / "built").exists():
        features = INSTRUCTIONS[instructions]
        options = ["-DGGML_NATIVE=" + ("ON" if features is None else "OFF")] + [f"-DGGML_{f}=ON" for f in features or []]
        options += ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_OPENMP=OFF"]
        options += ["-DGGML_BUILD_TESTS=OFF", "-DGGML_BUILD_EXAMPLES=OFF"]
        for command in (["-S", checkout, "-B", folder] + options, ["--build", folder, "--parallel"]):
            subprocess.run(["cmake"] + [str(word) for word in command], check=True, stdout=sys.stderr)
        (folder / "built").touch()
    return folder / "src"


class InitParameters(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class Library:
    """The C functions, all of whose other structures stay closed to us."""

    def __init__(self, folder):
        self.parts = [ctypes.CDLL(str(folder / f"lib{name}.so"), ctypes.RTLD_GLOBAL) for name in ("ggml-base", "ggml-cpu")]

    def call(self, name, *arguments, returns=ctypes.c_void_p):
        function = next(getattr(part, name) for part in self.parts if hasattr(part, name))
        function.restype = returns
        plain = (int, float, type(None))
        return function(*(ctypes.c_void_p(a) if isinstance(a, plain) else a for a in arguments))


class Ggml:
    def __init__(self, folder, threads, repack):
        self.library, self.repack = Library(folder), repack
        call = self.library.call
        self.backend = call("ggml_backend_cpu_init")
        call("ggml_backend_cpu_set_n_threads", self.backend, ctypes.c_int(threads), returns=None)
        parameters = ctypes.create_string_buffer(1 << 14)
        call("ggml_threadpool_params_init", parameters, ctypes.c_int(threads), returns=None)
        self.pool = call("ggml_threadpool_new", parameters)
        call("ggml_backend_cpu_set_threadpool", self.backend, self.pool, returns=None)
        self.version = call("ggml_version", returns=ctypes.c_char_p).decode()

    def context(self):
        return self.library.call("ggml_init", InitParameters(1 << 20, None, True))

    def tensor(self, context, kind, columns, rows):
        size = [ctypes.c_int64(columns), ctypes.c_int64(rows)]
        return self.library.call("ggml_new_tensor_2d", context, ctypes.c_int(TYPES[kind]), *size)

    def weight_buffer_type(self):
        call = self.library.call
        if not self.repack:
            return call("ggml_backend_get_default_buffer_type", self.backend)
        device = call("ggml_backend_get_device", self.backend)
        registry = call("ggml_backend_dev_backend_reg", device)
        address = call("ggml_backend_reg_get_proc_address", registry, ctypes.c_char_p(b"ggml_backend_dev_get_extra_bufts"))
        types = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)(address)(device)
        for index in range(8):
            if not types[index]:
                break
            if call("ggml_backend_buft_name", types[index], returns=ctypes.c_char_p) == b"CPU_REPACK":
                return types[index]
        raise ValueError("this build of ggml has no buffer of its own layout")

    def product(self, x, kind, weight, bias):
        """A function that computes x · weightᵀ + bias; `weight` holds the bytes of [columns, depth]."""
        call, (rows, depth) = self.library.call, x.shape
        columns = bias.size if bias is not None else weight.size // (depth // BLOCKS[kind][0] * BLOCKS[kind][1])
        weights, others = self.context(), self.context()
        w = self.tensor(weights, kind, depth, columns)
        a = self.tensor(others, "f32", depth, rows)
        y = call("ggml_mul_mat", others, w, a)
        inputs = [(w, weight), (a, x)]
        if bias is not None:
            b = self.tensor(others, "f32", columns, 1)
            y = call("ggml_add", others, y, b)
            inputs.append((b, bias))
        graph = call("ggml_new_graph", others)
        call("ggml_build_forward_expand", graph, y, returns=None)
        buffers = [call("ggml_backend_alloc_ctx_tensors_from_buft", weights, self.weight_buffer_type())]
        buffers.append(call("ggml_backend_alloc_ctx_tensors", others, self.backend))
        if not all(buffers):
            raise MemoryError("ggml allocated nothing")
        for tensor, data in inputs:
            data = numpy.ascontiguousarray(data)
            size = ctypes.c_size_t(data.nbytes)
            call("ggml_backend_tensor_set", tensor, data.ctypes.data, ctypes.c_size_t(0), size, returns=None)

        def run():
            status = call("ggml_backend_graph_compute", self.backend, graph, returns=ctypes.c_int)
            if status != 0:
                raise RuntimeError(f"ggml_backend_graph_compute: status {status}")

        def result(_):
            out = numpy.empty((rows, columns), numpy.float32)
            size = ctypes.c_size_t(out.nbytes)
            call("ggml_backend_tensor_get", y, out.ctypes.data, ctypes.c_size_t(0), size, returns=None)
            return out

        return Case(run, result, lambda: self.free(buffers, [weights, others]))

    def free(self, buffers, contexts):
        for buffer in buffers:
            self.library.call("ggml_backend_buffer_free", buffer, returns=None)
        for context in contexts:
            self.library.call("ggml_free", context, returns=None)

    def rest(self):
        self.library.call("ggml_threadpool_pause", self.pool, returns=None)


class Case(protocol.Probed):
    """Frees what it holds when it goes."""

    def __init__(self, run, describe, free):
        super().__init__(run, describe)
        self.free = free

    def __del__(self):
        self.free()


def bf16(x):
    bits = x.view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)


def blocks(kind, rows, columns):
    """BlockFile: random codes, scales between 2^-7 and 2^-3."""
    size, length = BLOCKS[kind]
    data = numpy.empty(rows * columns // size * length, numpy.uint8)
    for part, h in protocol.hashes(data.size, 2):
        data[part] = (h >> numpy.uint32(15)).astype(numpy.uint8)
    for at in SCALES[kind]:
        data[at + 1 :: length] = data[at + 1 :: length] & 0x8F | 0x20
    return data


def maker(ggml):
    def make(operation, s, dtype):
        if operation == "linear-blocks" and dtype in BLOCKS:
            return ggml.product(protocol.values((s["m"], s["k"]), 1), dtype, blocks(dtype, s["n"], s["k"]), None)
        if operation != "linear":
            return None
        weight = protocol.values((s["n"], s["k"]), 2, 0.05)
        kind = "bf16" if dtype == "mixed" else dtype
        stored = bf16(weight) if kind == "bf16" else weight.astype(numpy.float16) if kind == "f16" else weight
        return ggml.product(protocol.values((s["m"], s["k"]), 1), kind, stored, protocol.values((s["n"],), 3))

    return make


def main():
    parser = protocol.parser(__doc__)
    parser.add_argument("--checkout", type=pathlib.Path, required=True)
    parser.add_argument("--instructions", choices=list(INSTRUCTIONS), default="native")
    parser.add_argument("--repack", action="store_true")
    arguments = parser.parse_args()
    folder = built(arguments.checkout, arguments.instructions)
    # ggml prints to the standard output's file now and then.
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(answers, "w")
    ggml = Ggml(folder, arguments.threads, arguments.repack)
    name = f"ggml {ggml.version} {arguments.instructions}" + (" repacked" if arguments.repack else "")
    protocol.Script(arguments, name, arguments.threads, maker(ggml), rest=ggml.rest).main()


main()
