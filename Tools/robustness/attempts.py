#!/usr/bin/env python3
"""Tries to break the command line, some ten thousand times; see README.md.

    Tools/robustness/attempts.py [--groups configs,flags] [--share 0.1] [--seed 1] [--jobs 2] [--list]

Every attempt must end by itself with 0 (3 for an evaluation that skipped pictures), or with 2 and a message; what is refused
must leave what was there. Ends with 1 when one did not, and prints the command that does it again.
"""
import argparse, collections, concurrent.futures, hashlib, os, random, resource, shlex, shutil, signal, subprocess, sys
import tempfile, time
from dataclasses import dataclass, field
from typing import Callable, Optional

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# What a message to a user does not say.
UGLY = ["Fatal error", "NSCocoaErrorDomain", "NSPOSIXErrorDomain", "Error Domain=", "couldn’t be completed",
        "couldn't be completed", "Swift.DecodingError", "Optional(", "CodingKeys(", "out of memory:"]


@dataclass
class Attempt:
    """One run of the program in a folder of its own."""
    group: str
    name: str
    arguments: list
    # Makes what the run finds in its folder.
    prepare: Optional[Callable[[str], None]] = None
    # In place of the program's name and arguments, a line of bash in which "$program" is the program.
    shell: Optional[str] = None
    environment: dict = field(default_factory=dict)
    # Whether it may be still at work when the time is over: it must then end soon after SIGTERM.
    may_be_long: bool = False
    # Codes beside 0 and 2.
    codes: tuple = ()
    # Seconds; None for those of the command line.
    seconds: Optional[float] = None
    # None, or looks at the folder afterwards and says what is wrong.
    check: Optional[Callable[[str, int], Optional[str]]] = None
    # What the message of a refusal must name.
    names: str = ""
    # Whether a message can be read at all: not where standard error is closed.
    tells: bool = True
    # Whether a refusal leaves the folder as it was: not where all that fails is to tell of a run that is complete.
    keeps: bool = True
    memory: Optional[int] = None

    def command(self, program):
        if self.shell is not None:
            return ["/bin/bash", "-c", f"program={shlex.quote(program)}\n{self.shell}"]
        return [program] + self.arguments


def snapshot(folder):
    """Every file and what is in it, links unfollowed."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(root, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path) and os.path.getsize(path) < 1 << 24:
                found[path] = hashlib.sha1(open(path, "rb").read()).hexdigest()
            else:
                found[path] = "folder" if os.path.isdir(path) else "special or large"
    return found


def run(attempt, options):
    """What became of it: ("accepted" | "refused" | "long" | "BAD", why)."""
    folder = tempfile.mkdtemp(dir=options.work)
    try:
        if attempt.prepare:
            attempt.prepare(folder)
        before = snapshot(folder)
        memory = attempt.memory or options.memory

        def limits():
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

        environment = dict(os.environ, SWIFT_BACKTRACE="enable=no", **attempt.environment)
        try:
            process = subprocess.Popen(
                attempt.command(options.program), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, preexec_fn=limits, env=environment)
        except (OSError, ValueError) as error:
            return "impossible", str(error)  # no shell could give it such arguments
        try:
            output, errors = process.communicate(timeout=attempt.seconds or options.seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=20)
                return ("long", "") if attempt.may_be_long else ("BAD", "did not end by itself")
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return "BAD", "neither ended nor heard SIGTERM"
        return verdict(attempt, process.returncode, output, errors.decode(errors="replace"), before, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def verdict(attempt, code, output, errors, before, folder):
    if code < 0 or code >= 128:
        return "BAD", f"ended with {code}: {errors[-300:]}"
    if code not in (0, 2, *attempt.codes):
        return "BAD", f"exit code {code}: {errors[-300:]}"
    if any(ugly in errors for ugly in UGLY):
        return "BAD", f"no message for people: {errors[-300:]}"
    after = snapshot(folder)
    if any(".part-" in path for path in after):
        return "BAD", "left an unfinished file"
    if attempt.check:
        wrong = attempt.check(folder, code)
        if wrong:
            return "BAD", f"{wrong} (exit code {code})"
    if code != 2:
        return "accepted", ""
    if attempt.tells:
        if not errors.strip():
            return "BAD", "refused without a message"
        if len(errors) > 100_000:
            return "BAD", f"a message of {len(errors)} letters"
        if attempt.names and attempt.names not in errors:
            return "BAD", f"the message does not name {attempt.names}: {errors[-300:]}"
    changed = sorted(set(before.items()) ^ set(after.items()))
    if changed and attempt.keeps:
        return "BAD", f"refused, and left {[os.path.relpath(path, folder) for path, _ in changed][:4]}"
    return "refused", errors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", default="", help="only these, with commas")
    parser.add_argument("--only", default="", help="only attempts whose name has this text")
    parser.add_argument("--share", type=float, default=1, help="a random part of the attempts, 0 to 1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30, help="for one attempt")
    parser.add_argument("--memory", type=int, default=8_000_000_000, help="address space of one attempt, in bytes")
    parser.add_argument("--program", default=".build/release/concept-attention")
    parser.add_argument("--list", action="store_true", help="the groups, and how many attempts each has")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    options.work = tempfile.mkdtemp(prefix="attempts-")
    import attempt_groups

    rng = random.Random(options.seed)
    try:
        made = attempt_groups.all_groups(options.program, options.work, rng)
        wanted = set(options.groups.split(",")) if options.groups else set(made)
        if wanted - set(made):
            sys.exit(f"no such group: {sorted(wanted - set(made))}; there are {sorted(made)}")
        attempts = [a for name in made if name in wanted for a in made[name] if options.only in a.name]
        if options.share < 1:
            attempts = [a for a in attempts if rng.random() < options.share]
        if options.list:
            for name, count in collections.Counter(a.group for a in attempts).items():
                print(f"{name}: {count}")
            return
        counts, bad, start = collections.defaultdict(collections.Counter), 0, time.time()
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for attempt, (what, why) in zip(attempts, pool.map(lambda a: run(a, options), attempts)):
                counts[attempt.group][what] += 1
                if what == "BAD":
                    bad += 1
                    print(f"BAD {attempt.group}: {attempt.name[:200]}\n    {why}", flush=True)
                elif options.verbose:
                    print(f"{what} {attempt.group}: {attempt.name[:100]}: {why.strip()[:200]}", flush=True)
        for group, found in counts.items():
            print(f"{group}: {sum(found.values())} attempts, " + ", ".join(f"{n} {what}" for what, n in sorted(found.items())))
        print(f"{len(attempts)} attempts in {time.time() - start:.0f} s, {bad} bad")
        sys.exit(1 if bad else 0)
    finally:
        shutil.rmtree(options.work, ignore_errors=True)


if __name__ == "__main__":
    main()
