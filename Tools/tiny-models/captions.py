"""Words about a scene: short random captions to train on, and full ones to measure with."""

import random

from scenes import COLOURS, UPPER, USUAL_COLOUR, Scene, SceneObject

MAX_WORDS = 14  # leaves room for a comma and the end token among 16 T5 tokens


def random_caption(scene: Scene, r: random.Random) -> str:
    """1 to 14 words, short ones most often; need not name everything."""
    objects = list(scene.objects)
    r.shuffle(objects)
    kind = r.random()
    if kind < 0.10 and objects:
        return noun(objects[0], r) if r.random() < 0.5 else objects[0].word
    if kind < 0.13:
        return place(scene, r).split(" ", 1)[-1]
    if kind < 0.36:
        words = [thing.word for thing in objects]
        words += r.sample(scene.backgrounds, r.randint(0, len(scene.backgrounds)))
        r.shuffle(words)
        return r.choice([" ", ", ", " and "]).join(words)
    if len(objects) >= 2 and r.random() < 0.4:
        text = _relation(objects[0], objects[1], r)
    else:
        text = r.choice([" and ", " and ", ", ", " with "]).join(noun(o, r) for o in objects)
    if r.random() < 0.75:
        text = _if_short(text + r.choice([" ", " ", ", "]) + place(scene, r), text)
    if r.random() < 0.1:
        text = _if_short(r.choice(["a picture of ", "a scene with ", "there is "]) + text, text)
    return text


def full_caption(scene: Scene) -> str:
    """Names everything in the scene, and the colour of what has not its usual one."""
    things = " and ".join(full_noun(thing) for thing in scene.objects)
    return f"{things} {full_place(scene)}"


def full_place(scene: Scene) -> str:
    if len(scene.backgrounds) == 2:
        upper, lower = scene.backgrounds
        return f"on the {lower} under the {upper}"
    return f"{_preposition(scene.backgrounds[0])} the {scene.backgrounds[0]}"


def full_noun(thing: SceneObject) -> str:
    """With its colour if that is not the usual one."""
    unusual = thing.colour != USUAL_COLOUR[thing.word]
    text = f"{thing.colour} {thing.word}" if unusual else thing.word
    return ("an " if text[0] in "aeiou" else "a ") + text


def _if_short(longer: str, shorter: str) -> str:
    return longer if len(longer.split()) <= MAX_WORDS else shorter


def noun(thing: SceneObject, r: random.Random) -> str:
    unusual = thing.colour != USUAL_COLOUR[thing.word]
    text = thing.word
    if thing.colour in COLOURS and r.random() < (0.9 if unusual else 0.12):
        text = f"{thing.colour} {text}"
    article = r.choices(["a", "the", ""], [0.7, 0.1, 0.2])[0]
    if article == "a" and text[0] in "aeiou":
        article = "an"
    return f"{article} {text}".strip()


def _preposition(background: str) -> str:
    return "in" if background in UPPER else "on"


def place(scene: Scene, r: random.Random) -> str:
    the = r.choice(["the ", "the ", ""])
    if len(scene.backgrounds) == 2 and r.random() < 0.5:
        upper, lower = scene.backgrounds
        return r.choice(
            [
                f"on {the}{lower} under {the}{upper}",
                f"with {upper} above {lower}",
                f"with {lower} and {upper}",
                f"on {the}{lower} and {upper}",
            ]
        )
    background = r.choice(scene.backgrounds)
    if background == "night" and r.random() < 0.5:
        return "at night"
    return f"{_preposition(background)} {the}{background}"


def _relation(one: SceneObject, other: SceneObject, r: random.Random) -> str:
    dx, dy = one.x - other.x, one.y - other.y
    if abs(dx) > abs(dy):
        relation = "left of" if dx < 0 else "right of"
    else:
        relation = "above" if dy < 0 else r.choice(["below", "under"])
    if r.random() < 0.2:
        relation = "next to"
    return f"{noun(one, r)} {relation} {noun(other, r)}"
