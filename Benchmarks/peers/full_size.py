"""Runs one synthetic checkpoint in turns with stable-diffusion.cpp: seconds of the step, of the whole run, and memory.

    python full_size.py CHECKPOINT --ours .build/release/concept-attention --sd-cli build-sdcpp/bin/sd-cli --side 256

CHECKPOINT is what synthetic_checkpoint.py wrote (FLUX.1 or Stable Diffusion 3.5). Both read the same files with the same
number of threads, tokens, steps and pixels, guidance off. Files are in the page cache where they fit: an untimed read of
them before each run sees to that (virtual machines also give memory back that was idle). Memory is the peak resident set,
pages of files included, that the kernel tells of the process.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time


def files(folder):
    def path(*stems):
        for stem in stems:
            for ending in (".gguf", ".safetensors"):
                if os.path.exists(os.path.join(folder, stem + ending)):
                    return os.path.join(folder, stem + ending)
        return None

    return {name: path(name) for name in ("transformer", "clip_l", "clip_g", "t5xxl", "ae")}


def read_all(parts):
    for path in filter(None, parts.values()):
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def run(command, threads):
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(["taskset", "-c", cpus] + command, stdout=output, stderr=subprocess.STDOUT, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        output.seek(0)
        text = output.read()
    if status != 0:
        sys.exit(f"{' '.join(command)} ended with {status}:\n{text[-3000:]}")
    return seconds, usage.ru_maxrss * 1024, text


def ours(args, parts, out):
    command = [
        args.ours, "generate", "a boat on the sea", "--model", args.checkpoint, "--concepts", args.concepts,
        "--width", str(args.side), "--height", str(args.side), "--steps", str(args.steps), "--seed", "1",
        "--true-cfg", "1", "--max-sequence-length", "256", "--threads", str(args.threads), "--no-cache", "--json",
        "--allow-nonfinite", "--output", out] + args.options
    for option, part in (("--transformer", "transformer"), ("--clip-l", "clip_l"), ("--clip-g", "clip_g"),
                         ("--t5", "t5xxl"), ("--autoencoder", "ae")):
        if parts[part]:
            command += [option, parts[part]]
    total, peak, text = run(command, args.threads)
    seconds = json.loads(text[text.index("{"):])["runs"][0]["seconds"]
    return {
        "text": seconds["concepts"] + seconds["encoding"], "step": seconds["transformer"] / args.steps,
        "decoding": seconds["decoding"], "whole": total, "peak": peak}


def theirs(args, parts, out):
    command = [
        args.sd_cli, "--diffusion-model", parts["transformer"], "--vae", parts["ae"], "--clip_l", parts["clip_l"],
        "--t5xxl", parts["t5xxl"], "-p", "a boat on the sea", "-W", str(args.side), "-H", str(args.side),
        "--steps", str(args.steps), "--cfg-scale", "1.0", "--sampling-method", "euler", "-t", str(args.threads),
        "--seed", "1", "--diffusion-fa", "--mmap", "-v", "-o", os.path.join(out, "theirs.png")]
    if parts["clip_g"]:
        command += ["--clip_g", parts["clip_g"]]
    total, peak, text = run(command, args.threads)

    def seconds(pattern):
        found = re.findall(pattern, text)
        return float(found[-1]) if found else float("nan")

    return {
        "text": seconds(r"get_learned_condition completed, taking ([\d.]+)\s*s") if "completed, taking" in text else (
            seconds(r"condition.*?([\d.]+) ?ms") / 1000),
        "step": seconds(r"sampling completed, taking ([\d.]+)s") / args.steps,
        "decoding": seconds(r"decode_first_stage completed, taking ([\d.]+)s"), "whole": total, "peak": peak}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--ours", required=True, help="the program concept-attention")
    parser.add_argument("--sd-cli", help="the program of stable-diffusion.cpp; ours alone unless given")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--concepts", default="boat,sea")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("options", nargs="*", help="further options of ours, after --")
    args = parser.parse_args()
    parts = files(args.checkpoint)
    print("| | text, s | step, s | decoding, s | whole, s | peak, GB |\n|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as out:
        results = {"ours": [], "stable-diffusion.cpp": []}
        for _ in range(args.rounds):
            read_all(parts)
            results["ours"].append(ours(args, parts, os.path.join(out, "ours")))
            if args.sd_cli:
                read_all(parts)
                results["stable-diffusion.cpp"].append(theirs(args, parts, out))
        best = {}
        for name, rounds in results.items():
            if not rounds:
                continue
            best[name] = {key: min(r[key] for r in rounds) for key in rounds[0]}
            r = best[name]
            print(f"| {name} | {r['text']:.1f} | {r['step']:.1f} | {r['decoding']:.1f} | {r['whole']:.1f} "
                  f"| {r['peak'] / 1e9:.2f} |")
        if len(best) == 2:
            a, b = best["ours"], best["stable-diffusion.cpp"]
            print("| theirs / ours | " + " | ".join(f"{b[k] / a[k]:.2f}" for k in (
                "text", "step", "decoding", "whole", "peak")) + " |")


if __name__ == "__main__":
    main()
