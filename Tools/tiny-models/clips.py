"""Moving scenes: what tiny-cogvideox is trained on and measured with.

A clip is a scene whose objects move: they drift sideways, bob, rise, or stand still, and one may
pass behind another. `make_clip(seed)` always gives the same clip.
"""

import math
import random
from dataclasses import dataclass, replace

from scenes import (
    OBJECTS,
    STANDING,
    VOCABULARY,
    Scene,
    SceneObject,
    pick_backgrounds,
    pick_colour,
)

CLIP_SIZE = 64  # pixels, height and width
FRAMES = 17  # of 5 latent frames: the decoder of CogVideoX needs an odd number of them

MOTION_WORDS = "drifting bobbing rising still passing behind moving".split()
CLIP_VOCABULARY = [*VOCABULARY, *MOTION_WORDS]

# How often objects of a kind drift, bob, rise and stand still.
_MOTIONS = {
    "boat": (0.5, 0.4, 0.0, 0.1),
    "sun": (0.15, 0.0, 0.6, 0.25),
    "moon": (0.15, 0.0, 0.6, 0.25),
    "standing": (0.4, 0.1, 0.0, 0.5),
    "other": (0.4, 0.25, 0.2, 0.15),
}


@dataclass(frozen=True)
class Motion:
    kind: str  # "drift", "bob", "rise" or "still"
    reach: float = 0.0  # of a drift (to the right) or rise over the clip; amplitude of a bob
    cycles: float = 0.0
    phase: float = 0.0

    def moved(self, thing: SceneObject, time: float) -> SceneObject:
        """At a time from 0 to 1; half-way through a drift or rise it is where the scene has it."""
        match self.kind:
            case "drift":
                return replace(thing, x=thing.x + self.reach * (time - 0.5))
            case "rise":
                return replace(thing, y=thing.y - self.reach * (time - 0.5))
            case "bob":
                swing = math.sin(2 * math.pi * self.cycles * time + self.phase)
                tilt = 0.4 * math.cos(2 * math.pi * self.cycles * time + self.phase)
                return replace(
                    thing, y=thing.y + self.reach * swing, rotation=thing.rotation + tilt
                )
        return thing


@dataclass(frozen=True)
class Clip:
    scene: Scene
    motions: tuple[Motion, ...]  # of its objects, which are painted in their order
    behind: bool  # the first object passes behind the second

    def objects_at(self, time: float) -> list[SceneObject]:
        return [m.moved(thing, time) for thing, m in zip(self.scene.objects, self.motions)]


def make_clip(seed: int) -> Clip:
    r = random.Random(seed)
    backgrounds, horizon = pick_backgrounds(r)
    tilt = r.uniform(-0.05, 0.05)
    wave = (r.uniform(0, 0.03), r.uniform(1, 3), r.uniform(0, 6.28))
    texture = r.randrange(1 << 30)
    count = r.choices([1, 2], [0.5, 0.5])[0]
    behind = count == 2 and r.random() < 0.4
    words = r.sample(OBJECTS, count)
    things: list[SceneObject] = []
    motions: list[Motion] = []
    for index, word in enumerate(words):
        found = _find_path(word, horizon, things, motions, behind and index == 1, count, r)
        if found:
            things.append(found[0])
            motions.append(found[1])
    behind = behind and len(things) == 2
    if behind:  # found in the order near, far; painted far first
        things, motions = things[::-1], motions[::-1]
    scene = Scene(seed, backgrounds, horizon, tilt, wave, texture, tuple(things))
    return Clip(scene, tuple(motions), behind)


def _find_path(
    word: str,
    horizon: float,
    others: list[SceneObject],
    motions: list[Motion],
    passes: bool,
    count: int,
    r: random.Random,
) -> tuple[SceneObject, Motion] | None:
    """An object and its motion, clear of the others or, if it `passes`, behind the other."""
    smallest, largest = (0.2, 0.29) if count == 1 else (0.17, 0.23)
    for _ in range(120):
        radius = r.uniform(smallest, largest)
        x, y = r.uniform(0.1, 0.9), r.uniform(radius, 1 - radius)
        motion = _pick_motion(word, r)
        if passes:
            x, y = others[0].x, others[0].y + r.uniform(-0.12, 0.12)
            motion = Motion("drift", r.choice([-1, 1]) * r.uniform(0.5, 0.65))
        thing = SceneObject(
            word, pick_colour(word, r), x, y, radius, r.uniform(-0.2, 0.2), r.uniform(-10, 10)
        )
        if horizon and word in ("sun", "moon") and y > max(horizon, radius + 0.06):
            continue
        if horizon and word in STANDING and y + radius < horizon + 0.04:
            continue
        if _fits(thing, motion, [] if passes else others, motions):
            return thing, motion
    return None


def _pick_motion(word: str, r: random.Random) -> Motion:
    weights = _MOTIONS.get(word) or _MOTIONS["standing" if word in STANDING else "other"]
    match r.choices(["drift", "bob", "rise", "still"], weights)[0]:
        case "drift":
            return Motion("drift", r.choice([-1, 1]) * r.uniform(0.25, 0.5))
        case "bob":
            return Motion("bob", r.uniform(0.04, 0.08), r.uniform(0.8, 1.3), r.uniform(0, 6.28))
        case "rise":
            return Motion("rise", r.uniform(0.2, 0.4))
    return Motion("still")


def _fits(
    thing: SceneObject, motion: Motion, others: list[SceneObject], motions: list[Motion]
) -> bool:
    """Whether all the way it is mostly within the picture and clear of the others."""
    for step in range(5):
        now = motion.moved(thing, step / 4)
        inside = [0.85 * now.radius < place < 1 - 0.85 * now.radius for place in (now.x, now.y)]
        if not all(inside):
            return False
        for other, m in zip(others, motions):
            o = m.moved(other, step / 4)
            if math.hypot(now.x - o.x, now.y - o.y) < 0.95 * (now.radius + o.radius):
                return False
    return True
