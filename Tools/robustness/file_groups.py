"""Further attempts of attempts.py: inputs that are no files, outputs in the way, streams, videos, damaged files, limits."""
import glob, json, os, random, shutil, stat, subprocess, zipfile

import attempt_groups as common
from attempt_groups import DATASETS, CORPUS, EVALUATE, GENERATE, MODELS, SCENES, SCORE, SEGMENT, picture, special_files
from attempts import Attempt

KINDS = ["fifo", "zero", "null", "full", "socket", "folder", "nowhere", "nowhere/x", "loop", "dangling", "empty", "random", "sparse",
         "p.png/x"]


def inputs():
    """Every option that takes a file or folder, with everything that is none."""
    rename = {"picture": (SEGMENT, lambda kind: ["segment", kind] + SEGMENT[2:])}
    places = {f"generate {o}": (lambda o: lambda kind: GENERATE + [o, kind])(o) for o in
              ("--image", "--transformer", "--autoencoder", "--clip-l", "--t5", "--lora")}
    places |= {f"sd3 {o}": (lambda o: lambda kind: ["info", "--model", MODELS["sd35"], o, kind])(o) for o in
               ("--transformer", "--autoencoder", "--clip-l", "--clip-g", "--t5")}
    places["picture"] = rename["picture"][1]
    places["--model"] = lambda kind: GENERATE + ["--model", kind]
    places["--steer"] = lambda kind: GENERATE + ["--steer", f"double.0.image.residualOutput={kind}"]
    places["--steer strength"] = lambda kind: GENERATE + ["--steer", f"double.0.image.residualOutput={kind}:2"]
    places["--patch"] = lambda kind: GENERATE + ["--patch", f"double.0.image.value={kind}"]
    places["--scenes"] = lambda kind: ["evaluate", "--scenes", kind, "--output", "o.json"]
    places["--data"] = lambda kind: ["evaluate", "--dataset", "voc2012", "--data", kind, "--method", "centre", "--output", "o"]
    places["--check"] = lambda kind: ["evaluate", "--dataset", "folder", "--data", kind, "--check"]
    places["--maps"] = lambda kind: common.without(SCORE, "--maps") + ["--maps", kind]
    places["--class-names"] = lambda kind: EVALUATE + ["--class-names", kind]
    places["--protocol"] = lambda kind: EVALUATE + ["--protocol", f"./{kind}"]
    for place, line in places.items():
        for kind in KINDS:
            yield Attempt("inputs", f"{place} {kind}", line(kind), special_files,
                          codes=(3,), names="" if kind in ("empty", "random") else kind.split("/")[0])
    for kind in KINDS:
        for ending in ("png", "jpg", "gif", "mp4", "safetensors", "gguf", "npy", "json"):
            def prepare(folder, kind=kind, ending=ending):
                special_files(folder)
                os.symlink(kind, f"{folder}/in.{ending}")
            if ending in ("png", "jpg", "gif", "mp4"):
                lines = [["segment", f"in.{ending}"] + SEGMENT[2:], ["segment", f"in.{ending}", "--model",
                         MODELS["cogvideox-2b-ddim"], "--concepts", "boat,sea", "--output", "o"]]
            elif ending == "json":
                lines = [GENERATE + ["--transformer", "in.json"]]
            else:
                lines = [GENERATE + ["--transformer", f"in.{ending}"], GENERATE + ["--lora", f"in.{ending}"]]
            for line in lines:
                yield Attempt("inputs", f"{' '.join(line)[:60]} is a link to {kind}", line, prepare)
    # A file inside of a folder that is read.
    for source, names, line in (
        (f"{DATASETS}/broken/voc2012/listed-twice", ["VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "VOCdevkit/VOC2012/JPEGImages",
                                                     "VOCdevkit/VOC2012/SegmentationClass"],
         ["evaluate", "--dataset", "voc2012", "--data", "d", "--check", "--follow-links"]),
        (f"{DATASETS}/broken/imagenet-segmentation/mask-value", ["gtsegs_ijcv.mat", "LOC_synset_mapping.txt", "imagenet_class_map.json"],
         ["evaluate", "--dataset", "imagenet-segmentation", "--data", "d", "--check", "--follow-links"]),
        (f"{DATASETS}/broken/pascal-context/unknown-class-mat", ["labels.txt", "trainval/2008_000513.mat"],
         ["evaluate", "--dataset", "context60-mat", "--data", "d", "--check", "--follow-links"]),
        (f"{DATASETS}/broken/folder/listed-twice", ["manifest.csv", "pictures/00.jpg", "masks/00_boat.png"],
         ["evaluate", "--dataset", "folder", "--data", "d", "--check", "--follow-links"]),
        (f"{DATASETS}/voc2012/maps", ["00.npz", "01.npz"], common.without(SCORE, "--maps") + ["--maps", "d"]),
        (MODELS["sd35"], ["model_index.json", "transformer/config.json", "transformer", "vae", "scheduler", "tokenizer", "tokenizer/vocab.json",
                          "tokenizer/merges.txt", "tokenizer_3", "text_encoder/model.safetensors", "scheduler/scheduler_config.json",
                          "concept_attention.json"],
         ["generate", "a boat", "--concepts", "boat,sea", "--steps", "2", "--model", "d", "--output", "o"]),
    ):
        for name in names:
            for kind in KINDS:
                def prepare(folder, source=source, name=name, kind=kind):
                    special_files(folder)
                    shutil.copytree(source, f"{folder}/d")
                    path = f"{folder}/d/{name}"
                    if os.path.isdir(path):
                        shutil.rmtree(path)
                    elif os.path.lexists(path):
                        os.remove(path)
                    os.symlink(f"{folder}/{kind}", path)
                yield Attempt("inputs", f"{name} of {os.path.basename(source)} is {kind}", line, prepare, codes=(3,))


def outputs():
    """What may lie where results go."""
    lines = {"generate": GENERATE, "segment": SEGMENT, "scenes": ["evaluate", "--scenes", "s", "--output", "o"], "evaluate": EVALUATE,
             "maps": SCORE + ["--output", "o"], "tensors": GENERATE + ["--save-tensors", "t/t.safetensors"],
             "save-maps": EVALUATE + ["--save-maps", "t/m"]}
    inner = ["report.html", "metadata.json", "image.png", "maps.npz", "maps.safetensors", "contact-sheet.png", "resume.safetensors",
             "results.json", "protocol.json", "table.md", "classes.csv", "plot-map.svg", "centre", "centre/pictures.jsonl"]
    ways = {
        "a file": lambda f, o: open(f"{f}/{o}", "w").write("old"),
        "a pipe": lambda f, o: os.mkfifo(f"{f}/{o}"),
        "a device": lambda f, o: os.mknod(f"{f}/{o}", stat.S_IFCHR | 0o666, os.makedev(1, 3)) if os.geteuid() == 0 else None,
        "a full device": lambda f, o: os.mknod(f"{f}/{o}", stat.S_IFCHR | 0o666, os.makedev(1, 7)) if os.geteuid() == 0 else None,
        "a link to a folder": lambda f, o: (os.mkdir(f"{f}/real"), os.symlink("real", f"{f}/{o}")),
        "a link to a file": lambda f, o: (open(f"{f}/real", "w").write("old"), os.symlink("real", f"{f}/{o}")),
        "a link to a pipe": lambda f, o: (os.mkfifo(f"{f}/real"), os.symlink("real", f"{f}/{o}")),
        "a link to nowhere": lambda f, o: os.symlink("nowhere/x", f"{f}/{o}"),
        "a loop": lambda f, o: os.symlink(o, f"{f}/{o}"),
        "an empty folder": lambda f, o: os.mkdir(f"{f}/{o}"),
    }

    def base(folder):
        picture(folder)
        os.makedirs(f"{folder}/t", exist_ok=True)
        shutil.copytree(SCENES, f"{folder}/s")
        path = f"{folder}/s/evaluation.json"
        content = json.load(open(path))
        content["scenes"] = content["scenes"][:1]
        content["noise_levels"] = content["noise_levels"][:1]
        json.dump(content, open(path, "w"))

    def special_kept(folder, code):
        """Pipes and devices are still what they were."""
        for name in ("real", "o"):
            path = f"{folder}/{name}"
            marks = f"{folder}/kind-{name}"
            if os.path.exists(marks):
                kind = int(open(marks).read())
                if not os.path.lexists(path) or stat.S_IFMT(os.lstat(path).st_mode) != kind:
                    return f"{name} is no longer what it was"
        return None

    for command, line in lines.items():
        for way, make in ways.items():
            def prepare(folder, make=make):
                base(folder)
                make(folder, "o")
                for name in ("real", "o"):
                    path = f"{folder}/{name}"
                    if os.path.lexists(path) and stat.S_IFMT(os.lstat(path).st_mode) in (stat.S_IFIFO, stat.S_IFCHR):
                        open(f"{folder}/kind-{name}", "w").write(str(stat.S_IFMT(os.lstat(path).st_mode)))
            yield Attempt("outputs", f"{command}: the output is {way}", line, prepare, codes=(3,), check=special_kept, seconds=90)
        for name in inner:
            for way in ("a folder", "a pipe"):
                def prepare(folder, name=name, way=way):
                    base(folder)
                    os.makedirs(os.path.dirname(f"{folder}/o/{name}"), exist_ok=True)
                    os.mkdir(f"{folder}/o/{name}") if way == "a folder" else os.mkfifo(f"{folder}/o/{name}")
                if command not in ("scenes", "maps"):
                    yield Attempt("outputs", f"{command}: {name} is {way}", line, prepare, codes=(3,))
        for output in ("nowhere/x/y", "p.png/x", "x" * 256, "x" * 255, "y" * 240, "a/" * 100 + "b", "é\U0001F600", "with space", "-x",
                       "./o/", "o//", "new\nline", "\udcff"):
            yield Attempt("outputs", f"{command}: --output={output[:60]!r}", common.without(line, "--output") + [f"--output={output}"],
                          base, codes=(3,), seconds=90)
    if os.geteuid() == 0:
        for command, line in lines.items():
            for options_, what in (("size=64k", "small"), ("ro", "read-only"), ("nr_inodes=4", "without room for names")):
                text = " ".join(map(common_quote, line))
                # Maps of pictures that are done stay for the next run, on their own disk.
                yield Attempt("outputs", f"{command}: a {what} disk", [], base, codes=(3,), seconds=90, keeps=command != "save-maps", shell=(
                    f"exec unshare -m bash -c 'mkdir o t; mount -t tmpfs -o {options_} none o; \"$0\" {text}; s=$?; umount o; "
                    "[ $s = 2 ] && rmdir o; exit $s' $program"), check=lambda folder, code: None)


def common_quote(text):
    return '"' + text.replace('"', '\\"') + '"'


def streams():
    """Standard streams that are closed, full or gone."""
    lines = {"generate": GENERATE, "json": GENERATE + ["--json"], "bad": ["generate", "x", "--steps", "0"], "help": ["generate", "--help"],
             "sites": ["sites"], "info": ["info"], "maps": SCORE + ["--json"], "protocol": ["evaluate", "--print-protocol"],
             "evaluate": EVALUATE, "check": ["evaluate", "--dataset", "voc2012", "--data", f"{DATASETS}/voc2012", "--check"],
             "version": ["--version"], "nope": ["--nope"], "segment": SEGMENT}
    ways = [">&-", "2>&-", "<&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", "| true", "2>&1 | true", "| head -c 1",
            ">&- 2>/dev/full", "2>&- >/dev/full", "</dev/full"]
    for name, line in lines.items():
        for way in ways:
            text = " ".join(map(common_quote, line))
            shell = f"set -o pipefail; trap '' PIPE; \"$program\" {text} {way}"
            if "|" in way:
                shell += "; s=(${PIPESTATUS[@]}); exit ${s[0]}"

            def check(folder, code, name=name, way=way):
                if ">/dev/full" in way.replace("2>/dev/full", "") and code == 0:
                    return "said nothing of a full standard output"
                if "bad" == name and code != 2:
                    return "must be refused"
                return None
            # Files are in place before anything is told.
            yield Attempt("streams", f"{name} {way}", [], picture, shell=shell, codes=(3,), tells=False, keeps=">/dev/full" not in way,
                          check=check if "2>/dev/full" not in way or ">/dev/full" in way.replace("2>/dev/full", "") else None)


def video():
    """The program ffmpeg, as it should not be."""
    programs = {
        "hangs": "sleep 1000", "hangs in a picture": "printf 'P6\\n16 16\\n255\\nabc'; sleep 1000",
        "says nothing": "exit 0", "fails": "echo oops >&2; exit 1", "is killed": "kill -9 $$",
        "gives noise": "head -c 100000 /dev/urandom", "gives noise for ever": "exec cat /dev/urandom",
        "gives zeros for ever": "exec cat /dev/zero", "gives a huge picture": "printf 'P6\\n99999999 99999999\\n255\\n'",
        "gives a picture of nothing": "printf 'P6\\n0 0\\n255\\n'", "gives a negative size": "printf 'P6\\n-1 5\\n255\\n'",
        "gives half a picture": "printf 'P6\\n4 4\\n255\\nabc'", "talks for ever": "while :; do echo x >&2; done | head -c 30000000 >&2; exit 1",
        "gives sizes that change": "printf 'P6\\n1 1\\n255\\nabcP6\\n2 1\\n255\\nabcdef'",
        "does not listen": "trap '' TERM; sleep 1000", "gives pictures for ever":
            "exec python3 -c \"import sys\nwhile True: sys.stdout.buffer.write(b'P6\\n64 64\\n255\\n'+bytes(64*64*3))\"",
        "closes its input": "exec <&-; sleep 1; exit 0",
    }
    model_ = ["--model", MODELS["cogvideox-2b-ddim"], "--concepts", "boat,sea"]
    for name, text in programs.items():
        def prepare(folder, text=text):
            os.mkdir(f"{folder}/bin")
            open(f"{folder}/bin/ffmpeg", "w").write(f"#!/bin/bash\n{text}\n")
            os.chmod(f"{folder}/bin/ffmpeg", 0o755)
            open(f"{folder}/clip.mp4", "w").write("any")
        path = {"PATH": "bin:/usr/bin:/bin"}
        for line in (["segment", "clip.mp4", *model_, "--output", "o"], ["generate", "a boat", *model_, "--steps", "2", "--output", "o"]):
            yield Attempt("video", f"ffmpeg {name}: {line[0]}", line, prepare, environment=path, seconds=100)
    for name, make in {
        "is a folder": lambda f: os.makedirs(f"{f}/bin/ffmpeg"), "cannot be run": lambda f: (os.mkdir(f"{f}/bin"), open(f"{f}/bin/ffmpeg", "w")),
        "is no program": lambda f: (os.mkdir(f"{f}/bin"), open(f"{f}/bin/ffmpeg", "w").write("?"), os.chmod(f"{f}/bin/ffmpeg", 0o755)),
        "is missing": lambda f: os.mkdir(f"{f}/bin"), "is a pipe": lambda f: (os.mkdir(f"{f}/bin"), os.mkfifo(f"{f}/bin/ffmpeg", 0o777)),
    }.items():
        def prepare(folder, make=make):
            make(folder)
            open(f"{folder}/clip.mp4", "w").write("any")
        for line in (["segment", "clip.mp4", *model_, "--output", "o"], ["generate", "a boat", *model_, "--steps", "2", "--output", "o"]):
            yield Attempt("video", f"ffmpeg {name}: {line[0]}", line, prepare, environment={"PATH": "bin"})
    seeds = sorted(glob.glob(f"{CORPUS}/gif/*.gif"))
    rng = random.Random(3)
    for number in range(150):
        seed = open(rng.choice(seeds), "rb").read()
        text = mutated(seed, rng)
        yield Attempt("video", f"GIF {number}", ["segment", "a.gif", *model_, "--output", "o"],
                      lambda folder, text=text: open(f"{folder}/a.gif", "wb").write(text))
    huge = b"GIF89a" + b"\xff\xff\xff\xff" + b"\0\0\0" + (b"\x2c" + b"\0\0\0\0" + b"\xff\xff\xff\xff" + b"\0\x02\x02\x4c\x01\0") * 50 + b";"
    yield Attempt("video", "GIF of 65535 x 65535", ["segment", "a.gif", *model_, "--output", "o"],
                  lambda folder: open(f"{folder}/a.gif", "wb").write(huge))
    for names in (["1.png", "2.png"], ["a.txt"], [], ["1.png", "2.jpg", "x.PNG"]):
        def prepare(folder, names=names):
            os.mkdir(f"{folder}/f")
            for name in names:
                shutil.copy(f"{SCENES}/000.png", f"{folder}/f/{name}")
        for every in ("1", "2", "1024"):
            yield Attempt("video", f"frames {names} --every {every}", ["segment", "f", *model_, "--every", every, "--output", "o"], prepare)


def mutated(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 2, 4, 8])):
        if not data:
            break
        place = rng.randrange(len(data))
        what = rng.randrange(5)
        if what == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[place] = rng.randrange(256)
        elif what == 2:
            data[place:place + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"\0\0\0\x80"])
        elif what == 3:
            del data[place:place + rng.randrange(1, 64)]
        else:
            del data[place:]
    return bytes(data)


def damaged():
    """Files of data sets, maps and protocols with random changes, seen by the whole program."""
    rng = random.Random(5)
    trees = [
        ("imagenet-segmentation", "imagenet-segmentation/mask-value", "gtsegs_ijcv.mat", "hdf5"),
        ("context60-mat", "pascal-context/unknown-class-mat", "trainval/2008_000513.mat", "label-mat"),
        ("coco-object", "coco/listed-twice", "annotations/instances_val2017.json", "coco"),
        ("folder", "folder/listed-twice", "manifest.csv", "manifest-csv"), ("davis2017", "davis2017/unknown-class", "davis_semantics.json", None),
        ("vspw", "vspw/path-outside", "label_num_dic_final.json", None), ("voc2012", "voc2012/listed-twice",
         "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", None)]
    for format_, tree, file, corpus in trees:
        source = f"{DATASETS}/broken/{tree}"
        seeds = [open(p, "rb").read() for p in sorted(glob.glob(f"{CORPUS}/{corpus}/*"))] if corpus else []
        seeds = seeds or [open(f"{source}/{file}", "rb").read()]
        for number in range(60):
            text = mutated(rng.choice(seeds), rng)
            def prepare(folder, source=source, file=file, text=text):
                shutil.copytree(source, f"{folder}/d", symlinks=True)
                os.path.lexists(f"{folder}/d/{file}") and os.remove(f"{folder}/d/{file}")
                open(f"{folder}/d/{file}", "wb").write(text)
            rest = ["--check"] if number % 2 else ["--method", "centre", "--output", "o"]
            yield Attempt("damaged", f"{file} {number}", ["evaluate", "--dataset", format_, "--data", "d", *rest], prepare, codes=(3,))
    maps = sorted(glob.glob(f"{CORPUS}/maps/*.npz"))
    for number in range(80):
        text = mutated(open(rng.choice(maps), "rb").read(), rng)
        def prepare(folder, text=text):
            os.mkdir(f"{folder}/maps")
            open(f"{folder}/maps/a.npz", "wb").write(text)
        yield Attempt("damaged", f"maps {number}", common.without(SCORE, "--maps") + ["--maps", "maps"], prepare, codes=(3,))
    protocol = json.load(open(f"{CORPUS}/protocol/mine.json"))
    for place in common.leaves(protocol):
        for text in common.VALUES:
            content = common.with_value(protocol, place, text)
            yield Attempt("damaged", f"protocol {'.'.join(map(str, place))} = {text[:40]}", EVALUATE + ["--protocol", "a.json"],
                          lambda folder, content=content: open(f"{folder}/a.json", "w").write(content), codes=(3,))
    outcome = open(f"{CORPUS}/outcomes/three.jsonl").read().splitlines()
    for place in common.leaves(json.loads(outcome[1])):
        for text in common.VALUES:
            line = common.with_value(json.loads(outcome[1]), place, text)
            yield Attempt("damaged", f"results {'.'.join(map(str, place))} = {text[:40]}", [], seconds=60, codes=(3,), shell=(
                "set -e; \"$program\" " + " ".join(EVALUATE) + " >/dev/null; head -n 1 o/centre/pictures.jsonl > x; "
                "cat line >> x; mv x o/centre/pictures.jsonl; rm line; exec \"$program\" " + " ".join(EVALUATE)),
                prepare=lambda folder, line=line: open(f"{folder}/line", "w").write(line + "\n"), check=lambda f, code:
                None if code in (0, 3) else "damaged results must be counted again")


def states(program, work, rng):
    """What --resume goes on from."""
    folder = f"{work}/state"
    line = ["generate", "a boat", "--concepts", "boat,sea", "--model", MODELS["cogvideox-5b-dpm"], "--steps", "3", "--save-every", "0",
            "--output", "o"]
    os.makedirs(folder)
    # Without leave to replace image files it ends after its last step, and keeps its state.
    subprocess.run([program, *line], cwd=folder, capture_output=True, check=True)
    names = [n for n in os.listdir(f"{folder}/o")]
    saved = None
    for attempt in range(40):
        process = subprocess.Popen([program, *line, "--seed", "0"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            path = f"{folder}/o/resume.safetensors"
            if os.path.exists(path):
                process.kill()
                process.wait()
                saved = open(path, "rb").read() if os.path.exists(path) else None
                break
        if saved:
            break
    if not saved:
        return
    size = int.from_bytes(saved[:8], "little")
    header = json.loads(saved[8:8 + size])

    def again(content):
        text = json.dumps(content).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + saved[8 + size:]

    def read(content):
        """What it says, however its header is written."""
        length = int.from_bytes(content[:8], "little")
        try:
            return json.loads(content[8:8 + length]), content[8 + length:]
        except ValueError:
            return content

    cases = {"as it was": saved, "empty": b"", "cut": saved[:len(saved) // 2], "one byte short": saved[:-1], "no header": saved[8:]}
    for key in header["__metadata__"]:
        for text in ("", "-1", "999999999999999999999", "x", "2"):
            copy = json.loads(json.dumps(header))
            copy["__metadata__"][key] = text
            cases[f"{key} = {text}"] = again(copy)
    for name in header:
        copy = json.loads(json.dumps(header))
        del copy[name]
        cases[f"without {name}"] = again(copy)
        if name != "__metadata__":
            copy = json.loads(json.dumps(header))
            copy[name]["shape"] = copy[name]["shape"][::-1] + [1]
            cases[f"another shape of {name}"] = again(copy)
            copy = json.loads(json.dumps(header))
            copy["maps.more" if name != "latents" else "sampler.more"] = copy[name]
            del copy[name]
            cases[f"another name of {name}"] = again(copy)
    for number in range(60):
        cases[f"changed {number}"] = mutated(saved, rng)
    for name, content in cases.items():
        def prepare(folder_, content=content):
            os.mkdir(f"{folder_}/o")
            open(f"{folder_}/o/resume.safetensors", "wb").write(content)
        yield Attempt("states", name, line + ["--seed", "0", "--resume"], prepare,
                      check=(lambda f, code: None if code == 0 else "must go on") if name == "as it was" else
                      lambda f, code, content=content: "went on from damaged numbers" if code == 0 and read(content) != read(saved)
                      else None)
    yield Attempt("states", "is a pipe", line + ["--resume"], lambda f: (os.mkdir(f"{f}/o"), os.mkfifo(f"{f}/o/resume.safetensors")))


def limits():
    """Little memory, few files, few processes, odd environments."""
    for name, line in {"generate": GENERATE, "segment": SEGMENT, "evaluate": EVALUATE, "info": ["info"]}.items():
        for memory in (100, 150, 200, 250, 300, 400, 600, 1000):
            # Where memory is too short for the libraries, the system's loader says so.
            yield Attempt("limits", f"{name} in {memory} MB", line, picture, memory=memory * 1_000_000,
                          codes=(127,) if memory < 200 else ())
        text = " ".join(map(common_quote, line))
        for limit in ("-n 3", "-n 8", "-n 16", "-f 0", "-f 1", "-f 20", "-s 256", "-t 60", "-l 0"):
            yield Attempt("limits", f"{name} ulimit {limit}", [], picture, shell=f"ulimit {limit}; exec \"$program\" {text}", codes=(127, 126))
        for variable, values in {"CK_ISA": ["", "bogus", "generic", "avx2", "AVX2"],
                                 "CK_READING": ["", "bogus", "apart", "in_order"], "HOME": ["", "/nowhere"], "TMPDIR": ["/nowhere", "/dev/null"],
                                 "PATH": ["", "/nowhere"], "LANG": ["x", "C", "tr_TR.UTF-8"], "OPENBLAS_NUM_THREADS": ["-1", "x", "100000"],
                                 "OMP_NUM_THREADS": ["-1", "x"], "COLUMNS": ["0", "-1", "x", "99999999"]}.items():
            for value in values:
                yield Attempt("limits", f"{name} {variable}={value}", line, picture, environment={variable: value})
    for size in (2000, 8000, 16384):
        for memory in (500, 1000, 2000):
            def prepare(folder, size=size):
                png(f"{folder}/p.png", size, size)
            yield Attempt("limits", f"a picture of {size} x {size} in {memory} MB", SEGMENT, prepare, memory=memory * 1_000_000, seconds=120)


def png(path, width, height):
    """One colour: some kilobytes that unpack to gigabytes."""
    import struct, zlib
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    packer = zlib.compressobj(9)
    row = b"\0" + b"\x80" * (width * 3)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                           + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def groups(program, work, rng):
    return {"inputs": inputs(), "outputs": outputs(), "streams": streams(), "video": video(), "damaged": damaged(),
            "states": states(program, work, rng), "limits": limits()}
