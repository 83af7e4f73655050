"""What the peers' scripts share: the list of cases, inputs, timing, records, and the way `bench peers` asks for them.

Alone a script prints one JSON line per case; with --serve it answers one line {"case": NAME, "runs": N, "seconds": S,
"sweep": BYTES} at a time: with a record, with {"absent": true} for an operation it does not have, or with {"error": TEXT}.
Inputs are the same numbers as ours (see Inputs.swift), and are reused by every run.
"""
import argparse
import json
import math
import os
import pathlib
import re
import statistics
import sys
import time

import numpy

COLD_BYTES = 512 << 20
CASES = pathlib.Path(__file__).resolve().parent.parent / "cases.json"


def parser(about):
    result = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--cases", default=CASES)
    result.add_argument("--filter", action="append", default=[])
    result.add_argument("--dtype")
    result.add_argument("--slow", action="store_true")
    result.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    result.add_argument("--runs", type=int, default=20)
    result.add_argument("--seconds", type=float, default=3.0)
    result.add_argument("--cold", action="store_true", help="read other memory before each run, as 'bench peers --cold' asks")
    result.add_argument("--serve", action="store_true")
    return result


def hashes(count, seed):
    """The finaliser of MurmurHash3 over index and seed, some millions at a time."""
    for start in range(0, count, 1 << 22):
        end = min(count, start + (1 << 22))
        h = numpy.arange(start, end, dtype=numpy.uint32)
        h += numpy.uint32(seed * 0x9E3779B9 & 0xFFFFFFFF)
        h = (h ^ (h >> numpy.uint32(16))) * numpy.uint32(0x85EBCA6B)
        h = (h ^ (h >> numpy.uint32(13))) * numpy.uint32(0xC2B2AE35)
        h ^= h >> numpy.uint32(16)
        yield slice(start, end), h


def values(shape, seed, scale=1.0):
    """Inputs.values: evenly spread over [-scale, scale), f32."""
    result = numpy.empty(math.prod(shape), numpy.float32)
    for part, h in hashes(result.size, seed):
        unit = (h >> numpy.uint32(8)).astype(numpy.float32) * numpy.float32(2.0**-23) - numpy.float32(1)
        result[part] = unit * numpy.float32(scale)
    return result.reshape(shape)


class Probed:
    """A function whose result is not what is compared."""

    def __init__(self, run, describe):
        self.run, self.describe = run, describe


class Subject:
    """A case made ready: result probed, warmed up."""

    def __init__(self, made, seconds):
        self.made = made  # may hold what its function uses
        self.run = made.run if isinstance(made, Probed) else made
        describe = made.describe if isinstance(made, Probed) else lambda result: result
        flat = describe(self.run()).reshape(-1)
        count = math.prod(flat.shape)
        self.probe = [float(flat[(j * 2654435761 + 12345) % count]) for j in range(12)]
        del flat
        start, runs = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / 20 or (runs < 2 and time.perf_counter() - start < seconds / 3):
            self.run()
            runs += 1

    def measure(self, runs, seconds, sweep):
        """Seconds per run; the same rule as Budget.measure. `sweep` bytes of other memory are read before each."""
        memory = numpy.ones(sweep, numpy.uint8)
        samples, total = [], 0.0
        while not samples or (total < seconds and (len(samples) < runs or total < seconds / 10)):
            memory[::64].sum()
            start = time.perf_counter()
            self.run()
            samples.append(time.perf_counter() - start)
            total += samples[-1]
        return samples


class Script:
    """`make(operation, sizes, dtype)` returns a function to time, a Probed, or None for what the peer does not have."""

    def __init__(self, arguments, implementation, threads, make, rest=lambda: None):
        self.arguments, self.implementation, self.threads, self.make = arguments, implementation, threads, make
        self.rest = rest  # called when the other side's turn begins
        self.cases = {}
        for entry in json.load(open(arguments.cases))["cases"]:
            for dtype in entry["dtypes"]:
                self.cases[f"{entry['operation']}/{entry['label']}/{dtype}"] = (entry, dtype)

    def main(self):
        # Libraries may print; the records keep the real standard output to themselves.
        answers, sys.stdout = sys.stdout, sys.stderr
        if self.arguments.serve:
            self.serve(answers)
        else:
            self.run_alone(answers)

    def subject(self, name, seconds):
        entry, dtype = self.cases[name]
        made = self.make(entry["operation"], entry["sizes"], dtype)
        return None if made is None else Subject(made, seconds)

    def record(self, name, subject, samples, with_samples):
        milliseconds = sorted(sample * 1e3 for sample in samples)
        place = 0.9 * (len(milliseconds) - 1)
        low = int(place)
        high = min(low + 1, len(milliseconds) - 1)
        result = {
            "case": name,
            "implementation": self.implementation,
            "threads": self.threads,
            "runs": len(milliseconds),
            "min_ms": milliseconds[0],
            "median_ms": statistics.median(milliseconds),
            "p90_ms": milliseconds[low] + (milliseconds[high] - milliseconds[low]) * (place - low),
            "probe": subject.probe,
        }
        if with_samples:
            result["samples_ms"] = [sample * 1e3 for sample in samples]
        return result

    def serve(self, answers):
        print(json.dumps({"implementation": self.implementation}), file=answers, flush=True)
        name, subject = None, None
        for line in sys.stdin:
            request = json.loads(line)
            try:
                if request["case"] != name:
                    name, subject = None, None  # the case before is freed first
                    subject = self.subject(request["case"], request["seconds"])
                    name = request["case"]
                if subject is None:
                    answer = {"absent": True}
                else:
                    samples = subject.measure(request["runs"], request["seconds"], request.get("sweep", 0))
                    answer = self.record(name, subject, samples, True)
            except Exception as error:  # any failure of a case is an answer; the next case may work
                answer = {"error": f"{type(error).__name__}: {error}"}
            self.rest()
            print(json.dumps(answer), file=answers, flush=True)

    def run_alone(self, answers):
        arguments = self.arguments
        for name, (entry, dtype) in self.cases.items():
            if entry.get("slow") and not arguments.slow and name not in arguments.filter:
                continue
            if arguments.dtype not in (None, dtype):
                continue
            if arguments.filter and not any(re.search(pattern, name) for pattern in arguments.filter):
                continue
            subject = self.subject(name, arguments.seconds)
            if subject is None:
                continue
            samples = subject.measure(arguments.runs, arguments.seconds, COLD_BYTES if arguments.cold else 0)
            print(json.dumps(self.record(name, subject, samples, False)), file=answers, flush=True)
