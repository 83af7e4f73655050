"""The attempts of attempts.py, by group: what users can mistype, and what files can be broken."""
import glob, json, os, random, re, shutil, socket, stat, subprocess

from attempts import Attempt

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
PIPELINES = f"{ROOT}/Tests/Fixtures/pipelines"
DATASETS = f"{ROOT}/Tests/Fixtures/datasets"
CORPUS = f"{ROOT}/Tools/fuzz/corpus"
SCENES = f"{ROOT}/Sources/EmbeddedModels/Resources/tiny-flux-scenes"
MODELS = {name: f"{PIPELINES}/{name}/pipeline" for name in
          ("flux-schnell", "flux-dev", "sd35", "cogvideox-2b-ddim", "cogvideox-5b-dpm")}
GENERATE = ["generate", "a boat", "--concepts", "boat,sea", "--steps", "1", "--width", "32", "--height", "32", "--output", "o"]
SEGMENT = ["segment", "p.png", "--concepts", "boat,sea", "--width", "32", "--height", "32", "--output", "o"]
EVALUATE = ["evaluate", "--dataset", "voc2012", "--data", f"{DATASETS}/voc2012", "--method", "centre", "--output", "o"]
SCORE = ["evaluate", "--dataset", "voc2012", "--data", f"{DATASETS}/voc2012", "--maps", f"{DATASETS}/voc2012/maps"]

# As JSON has them, and as it cannot.
VALUES = [
    "null", "true", '"x"', '""', "[]", "{}", "[1]", "[[1]]", "-1", "0", "-0", "1", "2", "3", "7", "1000", "0.5", "-0.5", "1e-300",
    "1e-46", "1e38", "1e39", "1e308", "-1e308", "1e999", "NaN", "65535", "65536", "65537", "16777216", "2147483647", "2147483648",
    "4294967296", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551616", '"1"',
    '{"a": 1}', "[1, 2, 3]", "[-1, 65536]", "[" + "1," * 100_000 + "1]"]

TEXTS = [
    "", " ", "-1", "0", "1", "2", "3", "-0", "00", "+1", "1.5", "0.5", "1e9", "1e400", "nan", "inf", "-inf", "1e-320",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
    "18446744073709551616", "2147483648", "65536", "1000000", "0x10", "1_000", "a", "é", "\U0001F600", "\u202e", "e\u0301", "\u0301",
    "a" * 100_000, ",", "a,,b", "a, a", "1-", "-1-2", "3-1", "0-9999999", "1,2,3", "0-0", "1-2-3", "a=b", "=", "a=", "=b", "*=0",
    "double.*=0", "double.*.image=9999999", ":", "a:b", "a=b:c", "%s%n%x", "\n", "--help", "--", "-", "*", "all", "default", "none",
    "fifo", "fifo:1", "a=fifo", "folder", "a=folder", "zero", "null", "socket", "nowhere", "nowhere/x", "loop", "dangling", "a=loop", "empty",
    "random", "random.npy", "a=random", "sparse", "p.png", "p.png/x", "folder/fifo.png", "fifo.json", "random.json", "deep.json",
    "fifo.gguf", "random.gguf", "fifo.mp4", "fifo.npy", "a=fifo.npy", "wide\tname", "x" * 256, "/proc/self/mem", "/proc/self/maps"]

# Numbers that make a run long, and nothing else.
LONG = {"--steps", "--samples", "--images", "--frames", "--width", "--height", "--concepts", "--max-sequence-length", "--port",
        "--host", "--token", "--runs", "--threads", "--method", "--ablate", "--prompt", "--timesteps"}
# Flags that would find these names outside of the attempt's folder are only tried within it.
OUTPUTS = {"--output", "--save-tensors", "--save-maps", "--runs"}


def special_files(folder):
    """A file of every kind that is none, by the names in TEXTS."""
    os.mkfifo(f"{folder}/fifo")
    os.mkdir(f"{folder}/folder")
    os.mkfifo(f"{folder}/folder/fifo.png")
    for ending in ("json", "gguf", "mp4", "npy"):
        os.symlink("fifo", f"{folder}/fifo.{ending}")
    if os.geteuid() == 0:
        os.mknod(f"{folder}/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        os.mknod(f"{folder}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(f"{folder}/full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
    with socket.socket(socket.AF_UNIX) as own:
        here = os.open(folder, os.O_RDONLY)
        try:
            own.bind(f"/proc/self/fd/{here}/socket")
        finally:
            os.close(here)
    os.symlink("loop", f"{folder}/loop")
    os.symlink("nowhere", f"{folder}/dangling")
    open(f"{folder}/empty", "w").close()
    noise = random.Random(7).randbytes(5000)
    for name in ("random", "random.npy", "random.json", "random.gguf"):
        open(f"{folder}/{name}", "wb").write(noise)
    open(f"{folder}/deep.json", "w").write("[" * 200_000)
    with open(f"{folder}/sparse", "wb") as file:
        file.truncate(1 << 40)
    picture(folder)


def picture(folder):
    shutil.copy(f"{SCENES}/000.png", f"{folder}/p.png")


# MARK: Configurations

def leaves(content, path=()):
    """Every key of an object and every entry of a list, with where it is."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else []
    for key, value in pairs:
        yield path + (key,)
        yield from leaves(value, path + (key,))


def with_value(content, path, text):
    """JSON in which the value at a path is this text, whatever it is."""
    mark = "\0value\0"
    copy = json.loads(json.dumps(content))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = mark
    return json.dumps(copy).replace(json.dumps(mark), text)


def model(source, file, text):
    """A folder whose one file is changed; the others are the same files."""
    def prepare(folder):
        for path in glob.glob(f"{source}/**", recursive=True):
            target = os.path.join(folder, "m", os.path.relpath(path, source))
            if os.path.isdir(path):
                os.makedirs(target, exist_ok=True)
            else:
                shutil.copy(path, target) if path.endswith(".json") else os.symlink(os.path.realpath(path), target)
        open(f"{folder}/m/{file}", "w").write(text)
    return prepare


# What readers know and these files do not say.
UNSAID = {
    "transformer/config.json": ["out_channels", "patch_size", "pos_embed_max_size", "dual_attention_layers", "qk_norm",
                                "guidance_embeds", "axes_dims_rope", "ofs_embed_dim", "patch_size_t", "norm_eps", "activation_fn"],
    "scheduler/scheduler_config.json": ["shift", "use_dynamic_shifting", "base_shift", "max_shift", "shift_terminal",
                                        "time_shift_type", "invert_sigmas", "use_karras_sigmas", "trained_betas", "steps_offset"],
    "concept_attention.json": ["width", "height", "frames", "steps", "guidance", "true_cfg", "max_sequence_length", "layers",
                               "noise_level"],
    "vae/config.json": ["shift_factor", "scaling_factor", "use_quant_conv", "mid_block_add_attention", "norm_eps",
                        "temporal_compression_ratio", "sample_height"],
}


def configs():
    for name, source in MODELS.items():
        files = [os.path.relpath(p, source) for p in sorted(glob.glob(f"{source}/**/*.json", recursive=True))
                 if re.search(r"config\.json$|model_index\.json$", p)]
        for file in files + ["concept_attention.json"]:
            path = f"{source}/{file}"
            content = json.load(open(path)) if os.path.exists(path) else {}
            for key in UNSAID.get(file, []):
                content.setdefault(key, None)
            said = json.load(open(path)) if os.path.exists(path) else {}
            for place in leaves(content):
                base = said if len(place) > 1 or place[0] in said else dict(said, **{place[0]: None})
                # Tables of added tokens are long, and all alike.
                if "tokenizer" in file and len(place) > 1:
                    continue
                for text in VALUES:
                    yield Attempt(
                        "configs", f"{name} {file} {'.'.join(map(str, place))} = {text[:40]}",
                        ["generate", "a boat", "--concepts", "boat,sea", "--steps", "2", "--model", "m", "--output", "o"],
                        model(source, file, with_value(base, place, text)), may_be_long=file == "concept_attention.json")
            for text in ("", "{", "[]", "null", "\ufeff{}", "{}", "[" * 200_000, '{"a":' * 10_000):
                yield Attempt("configs", f"{name} {file}: {text[:20]!r}", GENERATE[:2] + ["--model", "m", "--output", "o"],
                              model(source, file, text), names="m")


# MARK: The command line

def options_of(program, command):
    help_ = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  (--[a-z0-9-]+) <", help_, re.M), re.findall(r"^  (--[a-z0-9-]+)(?!\S| <)", help_, re.M)


def without(arguments, option):
    if option in arguments:
        place = arguments.index(option)
        return arguments[:place] + arguments[place + 2:]
    return arguments


def flags(program):
    bases = {"generate": [GENERATE], "segment": [SEGMENT, SEGMENT + ["--timesteps", "0-1", "--steps", "2"]],
             "evaluate": [EVALUATE, SCORE, ["evaluate", "--scenes", "nowhere"], ["evaluate", "--print-protocol"]],
             "info": [["info"]], "sites": [["sites"]], "explore": [["explore", "--port", "0"], ["explore", "--port", "47861"]]}
    for command, lines in bases.items():
        valued, plain = options_of(program, command)
        for base in lines:
            for option in valued:
                for text in TEXTS:
                    if option in OUTPUTS and (text.startswith("/") or not text.strip()):
                        continue
                    yield Attempt(
                        "flags", f"{' '.join(base)[:60]} {option}={text[:40]!r}", without(base, option) + [f"{option}={text}"],
                        special_files, codes=(3,) if command == "evaluate" else (), may_be_long=option in LONG or command == "explore",
                        seconds=5 if command == "explore" else None)
                yield Attempt("flags", f"{' '.join(base)[:60]} {option} without a value", base + [option], special_files,
                              codes=(3,), may_be_long=command == "explore", seconds=5 if command == "explore" else None)
                yield Attempt("flags", f"{' '.join(base)[:60]} {option} twice", base + [option, "1", option, "2"], special_files,
                              codes=(3,), may_be_long=option in LONG or command == "explore", seconds=5 if command == "explore" else None)
            for option in plain:
                if (command, option) != ("explore", "--open"):
                    yield Attempt("flags", f"{' '.join(base)[:60]} {option}", base + [option], special_files, codes=(3,),
                                  may_be_long=True, seconds=5 if command == "explore" else None)
    for command in ("generate", "segment", "sites"):
        for text in TEXTS:
            if text not in ("--help",):
                rest = {"generate": GENERATE[2:], "segment": SEGMENT[2:], "sites": []}[command]
                yield Attempt("flags", f"{command} {text[:40]!r}", [command, "--"] + [text] if not rest else
                              [command] + rest + ["--", text], special_files)
    for line in ([], ["nope"], ["--nope"], ["generate", "--nope"], ["generate", "a", "b"], ["help"], ["help", "nope"], ["-h"],
                 ["--version", "x"], ["\0"], ["generate", "\x01\x02"], ["segment"], ["generate", "--generate-completion-script", "x"],
                 ["--generate-completion-script"], ["--generate-completion-script", "nope"]):
        yield Attempt("flags", " ".join(line), line)


def pairs(program, rng, count=600):
    """Two options at once, at random: what each allows alone need not go together."""
    small = [text for text in TEXTS if len(text) < 300 and not text.startswith("/") and text.strip()]
    for number in range(count):
        command, base = rng.choice([("generate", GENERATE), ("segment", SEGMENT), ("evaluate", EVALUATE)])
        valued, plain = options_of_cached(program, command)
        chosen = rng.sample(valued, 2) + rng.sample(plain, 1)
        line = base
        for option in chosen[:2]:
            line = without(line, option) + [f"{option}={rng.choice(small)}"]
        if chosen[2] not in ("--help", "--version"):
            line = line + [chosen[2]]
        yield Attempt("pairs", " ".join(line)[:300], line, special_files, codes=(3,), may_be_long=True)


CACHE = {}


def options_of_cached(program, command):
    if command not in CACHE:
        CACHE[command] = options_of(program, command)
    return CACHE[command]


def all_groups(program, work, rng):
    import file_groups
    made = {"configs": configs(), "flags": flags(program), "pairs": pairs(program, rng)}
    made.update(file_groups.groups(program, work, rng))
    return {name: list(attempts) for name, attempts in made.items()}
