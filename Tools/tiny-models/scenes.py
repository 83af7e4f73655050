"""The world of the tiny models: its words, and where things are in a scene.

A scene is one background, or an upper one above a lower one, and one or two large objects. Every
object word has a usual appearance (sun: yellow disc with rays; tree: green crown on a brown
trunk); about 20 % of the objects get another colour. `make_scene(seed)` always gives the same
scene, so that a split into training and held-out scenes is a split of the seeds.
"""

import math
import random
from dataclasses import dataclass

SIZE = 128  # pixels, height and width

TRAINING_SEED = 1_000_000  # scene i of the training pool has seed TRAINING_SEED + i
HELD_OUT_SEED = 60_000_000  # seeds from here on are never trained on

UPPER = ("sky", "night")
LOWER = ("grass", "sand", "sea", "snow")
BACKGROUNDS = UPPER + LOWER
OBJECTS = (
    *("circle", "square", "triangle", "star", "heart", "tree"),
    *("house", "sun", "moon", "boat", "flower", "mushroom"),
)
WORDS = BACKGROUNDS + OBJECTS  # the value of a pixel in a label map is an index in this list
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
OTHER_WORDS = (
    "a an the and with on in under above below over next to left right of at "
    "is there picture scene big small"
).split()
VOCABULARY = [*WORDS, *COLOURS, *OTHER_WORDS]

USUAL_COLOUR = {
    "circle": "red",
    "square": "blue",
    "triangle": "orange",
    "star": "yellow",
    "heart": "pink",
    "tree": "green",
    "house": "beige",
    "sun": "yellow",
    "moon": "white",
    "boat": "brown",
    "flower": "purple",
    "mushroom": "red",
}
UNUSUAL_COLOURS = {"sun": ["orange", "red"], "moon": ["yellow", "orange"]}  # others: any colour
STANDING = ("tree", "house", "flower", "mushroom", "boat")  # with a foot in the lower background


@dataclass(frozen=True)
class SceneObject:
    """One object; lengths are fractions of the picture's side, y points down."""

    word: str
    colour: str
    x: float
    y: float
    radius: float
    rotation: float  # radians
    shade: float  # added to its colours, of 255


@dataclass(frozen=True)
class Scene:
    seed: int
    backgrounds: tuple[str, ...]  # upper and lower, or only one
    horizon: float  # height of the lower background's edge; 0 where there is only one background
    tilt: float
    wave: tuple[float, float, float]  # amplitude, waves per width and phase of the edge
    texture: int  # seed of the noise
    objects: tuple[SceneObject, ...]

    @property
    def words(self) -> list[str]:
        """What is in the scene: backgrounds, then objects."""
        return [*self.backgrounds, *(thing.word for thing in self.objects)]


def make_scene(seed: int) -> Scene:
    r = random.Random(seed)
    backgrounds, horizon = pick_backgrounds(r)
    tilt = r.uniform(-0.05, 0.05)
    wave = (r.uniform(0, 0.03), r.uniform(1, 3), r.uniform(0, 6.28))
    texture = r.randrange(1 << 30)
    count = r.choices([1, 2], [0.6, 0.4])[0]
    objects: list[SceneObject] = []
    for word in r.sample(OBJECTS, count):
        place = _find_place(word, count, horizon, objects, r)
        if place is None:
            continue
        x, y, radius = place
        objects.append(
            SceneObject(
                word,
                pick_colour(word, r),
                *(x, y, radius),
                rotation=r.uniform(-0.2, 0.2),
                shade=r.uniform(-10, 10),
            )
        )
    return Scene(seed, backgrounds, horizon, tilt, wave, texture, tuple(objects))


def pick_backgrounds(r: random.Random) -> tuple[tuple[str, ...], float]:
    """Upper and lower with the height of the lower one's edge, or only one."""
    if r.random() < 0.22:
        return (r.choice(BACKGROUNDS),), 0.0
    return (r.choice(UPPER), r.choice(LOWER)), r.uniform(0.36, 0.68)


def _find_place(
    word: str, count: int, horizon: float, others: list[SceneObject], r: random.Random
) -> tuple[float, float, float] | None:
    """Centre and radius, clear of the others; None when 80 attempts find no room."""
    smallest, largest = (0.18, 0.275) if count == 1 else (0.15, 0.215)
    for _ in range(80):
        radius = r.uniform(smallest, largest)
        x, y = r.uniform(radius, 1 - radius), r.uniform(radius, 1 - radius)
        if horizon and word in ("sun", "moon") and y > max(horizon, radius + 0.06):
            continue
        if horizon and word in STANDING and y + radius < horizon + 0.04:
            continue
        if all(math.hypot(x - o.x, y - o.y) > 0.95 * (radius + o.radius) for o in others):
            return x, y, radius
    return None


def pick_colour(word: str, r: random.Random) -> str:
    usual = USUAL_COLOUR[word]
    if r.random() >= 0.2:
        return usual
    return r.choice([c for c in UNUSUAL_COLOURS.get(word, COLOURS) if c != usual])
