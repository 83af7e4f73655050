"""Words about a clip: short random captions to train on, and full ones to measure with."""

import random

from captions import MAX_WORDS, full_noun, full_place, noun, place
from clips import Clip, Motion


def clip_caption(clip: Clip, r: random.Random) -> str:
    """A random caption to train on: 1 to 14 words, motions named in most."""
    kind = r.random()
    things = list(zip(clip.scene.objects, clip.motions))
    if kind < 0.12 and things:
        return r.choice(things)[0].word
    if kind < 0.3:
        words = [thing.word for thing, _ in things]
        words += r.sample(clip.scene.backgrounds, r.randint(0, len(clip.scene.backgrounds)))
        r.shuffle(words)
        return r.choice([" ", ", ", " and "]).join(words)
    if clip.behind and r.random() < 0.7:
        verb = r.choice(["passing behind", "drifting behind", "behind"])
        text = f"{noun(things[0][0], r)} {verb} {noun(things[1][0], r)}"
    else:
        r.shuffle(things)
        text = " and ".join(noun(thing, r) + _moving(m, r, 0.75) for thing, m in things)
    longer = f"{text} {place(clip.scene, r)}".strip()
    return longer if r.random() < 0.75 and len(longer.split()) <= MAX_WORDS else text


def full_clip_caption(clip: Clip) -> str:
    """Names everything in the clip and how it moves."""
    things = [full_noun(thing) for thing in clip.scene.objects]
    r = random.Random(0)
    if clip.behind:
        text = f"{things[0]} passing behind {things[1]}"
    else:
        text = " and ".join(thing + _moving(m, r, 1) for thing, m in zip(things, clip.motions))
    return f"{text} {full_place(clip.scene)}".strip()


def _moving(motion: Motion, r: random.Random, chance: float) -> str:
    if r.random() >= chance:
        return ""
    match motion.kind:
        case "drift":
            side = "left" if motion.reach < 0 else "right"
            told = f" drifting {side}"
            return told if chance == 1 else r.choice([told, told, told, " drifting"])
        case "rise":
            return " rising"
        case "bob":
            return " bobbing"
    return "" if chance == 1 else r.choice(["", " still"])
