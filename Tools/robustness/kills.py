#!/usr/bin/env python3
"""Kills runs at random moments and lets disks fill up, and looks each time whether the folder is one whole run.

    Tools/robustness/kills.py [--kills 200] [--full-disks 20] [--seed 1] [--program .build/release/concept-attention]

Every signal (INT, TERM, HUP, KILL) meets generate, segment, evaluate of scenes and of a data set. Full disks are small file systems in memory,
which needs root. Prints counts; ends with 1 when a folder was a mixture or a file was broken.
"""
import argparse, collections, io, json, os, random, re, shutil, signal, struct, subprocess, sys, tempfile, time, zipfile, zlib

SIZE = "--concepts boat,sea --width 64 --height 64".split()


def png_texts(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, texts = 8, {}
    while place < len(data):
        (length,) = struct.unpack(">I", data[place:place + 4])
        kind, body = data[place + 4:place + 8], data[place + 8:place + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[place + 8 + length:place + 12 + length])[0]
        if kind == b"tEXt":
            key, _, value = body.partition(b"\0")
            texts[key.decode()] = value.decode()
        place += 12 + length
    assert kind == b"IEND"
    return texts


def run_id(path):
    data = open(path, "rb").read()
    if path.endswith(".png"):
        texts = png_texts(data)
        return ("image " + texts["image_id"]) if path.endswith("/image.png") else texts["run_id"]
    if path.endswith(".json"):
        content = json.loads(data)
        return content["run_id"] + " image " + content["image_id"]
    if path.endswith(".npz"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return archive.read("run_id.npy")[-32:].decode()
    if path.endswith(".safetensors"):
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + length])
        assert max(t["data_offsets"][1] for n, t in header.items() if n != "__metadata__") + 8 + length == len(data)
        return header["__metadata__"]["run_id"]
    if path.endswith(".html"):
        text = data.decode()
        assert text.rstrip().endswith("</html>")
        return text.split('"run_id"')[1].split('"')[1]
    raise AssertionError(f"a file of no run: {path}")


def state(folder, names):
    """The id of the one run that a folder holds; files that a killed run did not finish have names of their own."""
    found = {n for n in os.listdir(folder) if ".part-" not in n}
    if not found:
        return None
    assert found == names, f"{sorted(found ^ names)}"
    ids = {n: run_id(f"{folder}/{n}") for n in found}
    run, _, image = ids.pop("metadata.json").partition(" ")
    assert ids.pop("image.png") == image and set(ids.values()) == {run}, f"mixture: {run} {image} {ids}"
    return run


def measured(folder):
    """The id of the one run that all tables of a data set's evaluation are of; what was counted may be of a later one."""
    found = {n for n in os.listdir(folder) if ".part-" not in n and not os.path.isdir(f"{folder}/{n}")}
    if not found:
        return None
    tables = {"results.json", "table.md", "table.csv", "classes.csv", "report.html", "protocol.json"}
    assert tables <= found, f"without {sorted(tables - found)}"
    results = json.load(open(f"{folder}/results.json"))
    json.load(open(f"{folder}/protocol.json"))
    patterns = {"table.md": r"^- run_id: (\w+)$", "report.html": r"<dt>run_id</dt><dd>(\w+)</dd>"}
    patterns |= {n: r"<!-- run_id (\w+) -->\n$" for n in found if n.endswith(".svg")}
    ids = {n: re.search(p, open(f"{folder}/{n}").read(), re.M).group(1) for n, p in patterns.items()}
    run = results["settings"]["run_id"]
    assert len(patterns) > 2 and run and set(ids.values()) == {run}, f"mixture: {run} {ids}"
    for name in ("table.csv", "classes.csv"):
        lines = open(f"{folder}/{name}").read().splitlines()
        assert lines[0].endswith(",run_id") and {line.split(",")[-1] for line in lines[1:]} == {run}, f"{name} is of another run"
    return run


def scenes_of(program, folder):
    """Two of the embedded scenes."""
    source = os.path.join(os.path.dirname(__file__), "../../Sources/EmbeddedModels/Resources/tiny-flux-scenes")
    target = f"{folder}/scenes"
    shutil.copytree(source, target)
    path = f"{target}/evaluation.json"
    content = json.load(open(path))
    content["scenes"] = content["scenes"][:1]
    content["noise_levels"] = content["noise_levels"][:1]
    json.dump(content, open(path, "w"))
    return target


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--full-disks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", default=".build/release/concept-attention")
    options = parser.parse_args()
    program, rng = os.path.abspath(options.program), random.Random(options.seed)
    work = tempfile.mkdtemp()
    environment = dict(os.environ, SWIFT_BACKTRACE="enable=no")
    scenes = scenes_of(program, work)
    dataset = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../Tests/Fixtures/datasets/voc2012"))

    def command(kind, seed, out):
        if kind == "generate":
            return [program, "generate", "a boat", *SIZE, "--steps", "2", "--seed", str(seed), "--output", out]
        if kind == "segment":
            return [program, "segment", f"{work}/picture.png", *SIZE, "--seed", str(seed), "--output", out]
        if kind == "measure":
            return [program, "evaluate", "--dataset", "voc2012", "--data", dataset, "--method", "centre,chance", "--limit",
                    str(1 + seed % 12), "--output", out]
        return [program, "evaluate", "--scenes", scenes, "--output", f"{out}/metrics.json"]

    def start(arguments):
        return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=work, env=environment)

    lengths, names = {}, {}
    for kind in ("generate", "segment", "evaluate", "measure"):
        out = f"{work}/{kind}"
        os.makedirs(out, exist_ok=True)
        begin = time.time()
        process = start(command(kind, 0, out))
        errors = process.communicate()[1]
        assert process.returncode == 0, errors
        lengths[kind] = time.time() - begin
        names[kind] = set(os.listdir(out))
        if kind == "generate":
            shutil.copy(f"{out}/image.png", f"{work}/picture.png")
    print("seconds undisturbed:", {k: round(v, 2) for k, v in lengths.items()}, flush=True)

    def whole(kind):
        out = f"{work}/{kind}"
        if kind == "measure":
            return measured(out)
        if kind != "evaluate":
            return state(out, names[kind])
        json.load(open(f"{out}/metrics.json"))
        assert {n for n in os.listdir(out) if ".part-" not in n} == {"metrics.json"}
        return None

    counts, leftovers, bad = collections.Counter(), 0, 0
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
    for number in range(options.kills):
        kind = ("generate", "segment", "measure", "generate", "segment", "evaluate", "measure")[number % 7]
        which = signals[number % 4]
        before = whole(kind)
        process = start(command(kind, number + 1, f"{work}/{kind}"))
        # Half of the moments in the last third, where files are written.
        begin, end = (0.66, 1.15) if rng.random() < 0.5 else (0, 1.15)
        time.sleep(lengths[kind] * rng.uniform(begin, end))
        process.send_signal(which)
        process.communicate()
        expected = {0, 128 + which, -which}
        try:
            assert process.returncode in expected, f"ended with {process.returncode}"
            after = whole(kind)
            verdict = "new" if after != before else "old"
            if kind == "evaluate":
                verdict = "whole"
        except (AssertionError, KeyError, ValueError, IndexError) as error:
            bad += 1
            verdict = "BAD"
            print(f"kill {number} of {kind} by {which.name}: {error}", flush=True)
            shutil.rmtree(f"{work}/{kind}")
            os.makedirs(f"{work}/{kind}")
            assert start(command(kind, 0, f"{work}/{kind}")).wait() == 0
        leftovers += sum(".part-" in n for n in os.listdir(f"{work}/{kind}"))
        counts[f"{kind} {which.name} {verdict}"] += 1
    for key in sorted(counts):
        print(f"{key}: {counts[key]}")
    print(f"{options.kills} kills, {bad} bad, {leftovers} unfinished files seen after them")

    disks, bad_disks = collections.Counter(), 0
    for number in range(options.full_disks):
        mount = f"{work}/disk"
        os.makedirs(mount, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", mount], check=True)
        try:
            out = f"{mount}/out"
            process = start(command("generate", 1, out))
            assert process.wait() == 0
            before = state(out, names["generate"])
            free = shutil.disk_usage(mount).free
            keep = rng.randrange(0, 96 << 10)
            with open(f"{mount}/fill", "wb") as fill:
                fill.write(b"x" * max(0, free - keep))
            process = start(command("generate", number + 2, out) + (["--force"] if number % 2 else []))
            errors = process.communicate()[1].decode()
            after = state(out, names["generate"])
            if process.returncode == 0:
                disks["room enough: new run whole"] += 1
                assert after != before
            else:
                assert process.returncode == 2 and after == before, (process.returncode, errors)
                disks["refused before computing" if "--force writes" in errors else "refused while writing"] += 1
            assert not any(".part-" in n for n in os.listdir(out)), os.listdir(out)
        except (AssertionError, KeyError, ValueError) as error:
            bad_disks += 1
            print(f"full disk {number}: {error}", flush=True)
        finally:
            subprocess.run(["umount", mount], check=True)
    print(f"{options.full_disks} full disks, {bad_disks} bad: {dict(disks)}")
    shutil.rmtree(work)
    sys.exit(1 if bad or bad_disks else 0)


main()
