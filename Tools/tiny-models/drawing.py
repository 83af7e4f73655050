"""Draws scenes and clips, and for every pixel the word that is seen there."""

import math

import numpy as np
from PIL import Image, ImageDraw

from clips import CLIP_SIZE, FRAMES, Clip
from scenes import SIZE, STANDING, WORDS, Scene, SceneObject

Colour = tuple[int, int, int]
Point = tuple[float, float]
Polygon = list[Point]

RGB: dict[str, Colour] = {
    "red": (214, 40, 40),
    "orange": (242, 130, 30),
    "yellow": (247, 215, 50),
    "green": (30, 120, 50),
    "blue": (35, 70, 200),
    "purple": (130, 50, 170),
    "pink": (245, 130, 180),
    "white": (245, 245, 245),
    "black": (30, 30, 35),
    "beige": (232, 212, 170),
    "brown": (125, 75, 40),
}
# Upper and lower end of each background's gradient.
GRADIENTS: dict[str, tuple[Colour, Colour]] = {
    "sky": ((110, 175, 245), (190, 225, 252)),
    "night": ((12, 14, 50), (45, 45, 100)),
    "grass": ((110, 185, 75), (70, 145, 50)),
    "sand": ((236, 212, 150), (214, 180, 115)),
    "sea": ((40, 140, 170), (15, 90, 130)),
    "snow": ((235, 240, 250), (212, 222, 240)),
}
# Small strokes on each background: count, brightness, width and height in pixels.
STROKES: dict[str, tuple[int, int, int, int]] = {
    "sky": (0, 0, 0, 0),
    "night": (24, 110, 2, 2),
    "grass": (130, -22, 1, 4),
    "sand": (110, -16, 2, 2),
    "sea": (60, 24, 9, 2),
    "snow": (60, 10, 3, 2),
}


def render(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The picture, u8 [SIZE, SIZE, 3], and its labels, u8 [SIZE, SIZE], indices in WORDS."""
    rng = np.random.default_rng(scene.texture)
    picture, labels = _backgrounds(scene, SIZE, rng)
    for thing in scene.objects:
        _draw(thing, picture, labels)
    picture = picture + rng.normal(0, 1.5, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), labels


def render_clip(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """The frames, u8 [FRAMES, CLIP_SIZE, CLIP_SIZE, 3], and their labels, u8 without the last axis.

    Only the objects move: the backgrounds and the grain are the same in all frames.
    """
    rng = np.random.default_rng(clip.scene.texture)
    background, labels_behind = _backgrounds(clip.scene, CLIP_SIZE, rng)
    grain = rng.normal(0, 1.5, background.shape)
    frames, labels = [], []
    for frame in range(FRAMES):
        picture, seen = background.copy(), labels_behind.copy()
        for thing in clip.objects_at(frame / (FRAMES - 1)):
            _draw(thing, picture, seen)
        frames.append(np.clip(picture + grain, 0, 255).astype(np.uint8))
        labels.append(seen)
    return np.stack(frames), np.stack(labels)


def _backgrounds(
    scene: Scene, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    picture = _background(scene.backgrounds[0], size, rng)
    labels = np.full((size, size), WORDS.index(scene.backgrounds[0]), np.uint8)
    if len(scene.backgrounds) == 2:
        below = _below_horizon(scene, size)
        picture = picture * (1 - below) + _background(scene.backgrounds[1], size, rng) * below
        labels[below[..., 0] > 0.5] = WORDS.index(scene.backgrounds[1])
    return picture, labels


def _background(word: str, size: int, rng: np.random.Generator) -> np.ndarray:
    top, bottom = GRADIENTS[word]
    down = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    picture = np.asarray(top, np.float32) * (1 - down) + np.asarray(bottom, np.float32) * down
    picture = np.repeat(picture, size, 1)
    clouds = Image.fromarray(rng.normal(0, 5.0, (6, 6)).astype(np.float32))
    picture = picture + np.asarray(clouds.resize((size, size), Image.Resampling.BICUBIC))[..., None]
    count, brightness, width, height = STROKES[word]
    for _ in range(count * size // SIZE):
        x, y = rng.integers(0, size, 2)
        picture[y : y + height, x : x + width] += brightness
    return picture


def _below_horizon(scene: Scene, size: int) -> np.ndarray:
    """How much of each pixel lies below the horizon, [size, size, 1]."""
    x = (np.arange(size) + 0.5) / size
    amplitude, frequency, phase = scene.wave
    edge = scene.horizon + scene.tilt * (x - 0.5)
    edge = edge + amplitude * np.sin(2 * math.pi * frequency * x + phase)
    return np.clip((np.arange(size)[:, None] + 0.5) - edge[None] * size + 0.5, 0, 1)[..., None]


def _draw(thing: SceneObject, picture: np.ndarray, labels: np.ndarray) -> None:
    size = len(picture)
    x, y, radius = thing.x * size, thing.y * size, thing.radius * size
    rotation = thing.rotation * (0.3 if thing.word in STANDING else 1.0)
    cos, sin = math.cos(rotation) * radius, math.sin(rotation) * radius
    reach = 1.35 * radius
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    right, bottom = min(size, int(x + reach) + 2), min(size, int(y + reach) + 2)
    box = (slice(top, bottom), slice(left, right))
    light = ((np.arange(top, bottom)[:, None] - y) / radius * -10 + thing.shade)[..., None]
    covered = np.zeros((bottom - top, right - left), np.float32)
    for polygon, colour in _parts(thing.word, RGB[thing.colour]):
        points = [(x + u * cos - v * sin - left, y + u * sin + v * cos - top) for u, v in polygon]
        cover = _coverage(points, right - left, bottom - top)
        opacity = cover[..., None]
        lit = np.asarray(colour, np.float32) + light
        picture[box] = picture[box] * (1 - opacity) + lit * opacity
        covered = np.maximum(covered, cover)
    labels[box][covered > 0.5] = WORDS.index(thing.word)


def _coverage(polygon: Polygon, width: int, height: int, samples: int = 4) -> np.ndarray:
    """Share of each pixel inside a polygon, [height, width]."""
    mask = Image.new("L", (width * samples, height * samples), 0)
    ImageDraw.Draw(mask).polygon([(x * samples, y * samples) for x, y in polygon], fill=255)
    fine = np.asarray(mask, np.float32).reshape(height, samples, width, samples)
    return fine.mean((1, 3)) / 255.0


# Outlines, in -1 ... 1 with y pointing down.


def _disc(corners: int, radius: float, phase: float = 0.0, x: float = 0, y: float = 0) -> Polygon:
    angles = [phase + 2 * math.pi * i / corners for i in range(corners)]
    return [(x + radius * math.cos(t), y + radius * math.sin(t)) for t in angles]


def _star(points: int, outer: float, inner: float) -> Polygon:
    angles = [-math.pi / 2 + math.pi * i / points for i in range(2 * points)]
    radii = [outer, inner] * points
    return [(r * math.cos(t), r * math.sin(t)) for r, t in zip(radii, angles)]


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _heart() -> Polygon:
    def point(t: float) -> Point:
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        return 16 * math.sin(t) ** 3 / 17, -y / 17

    return [point(2 * math.pi * i / 48) for i in range(48)]


def _crescent() -> Polygon:
    """The unit circle without a circle of radius 0.85 around (0.45, 0)."""
    outer = [(math.cos(t), math.sin(t)) for t in np.linspace(1.0083, 2 * math.pi - 1.0083, 48)]
    turns = np.linspace(2 * math.pi - 1.4726, 1.4726, 40)
    inner = [(0.45 + 0.85 * math.cos(t), 0.85 * math.sin(t)) for t in turns]
    return [(x + 0.15, y) for x, y in outer + inner]


def _parts(word: str, colour: Colour) -> list[tuple[Polygon, Colour]]:
    """What an object is made of, in the order it is painted."""
    wood, white, green = (115, 75, 45), (240, 240, 236), (45, 120, 50)
    upright = -math.pi / 2
    match word:
        case "circle":
            return [(_disc(48, 0.92, upright), colour)]
        case "square":
            return [(_rectangle(-0.8, -0.8, 0.8, 0.8), colour)]
        case "triangle":
            return [([(0, -0.95), (0.98, 0.8), (-0.98, 0.8)], colour)]
        case "star":
            return [(_star(5, 1.05, 0.45), colour)]
        case "heart":
            return [(_heart(), colour)]
        case "tree":
            return [
                (_rectangle(-0.16, 0.2, 0.16, 1.0), wood),
                (_disc(32, 0.5, 0, -0.32, -0.1), colour),
                (_disc(32, 0.5, 0, 0.32, -0.1), colour),
                (_disc(32, 0.56, 0, 0, -0.44), colour),
            ]
        case "house":
            roof, window = (200, 50, 40), (200, 225, 245)
            return [
                (_rectangle(-0.72, -0.1, 0.72, 0.95), colour),
                ([(-0.95, -0.08), (0, -0.95), (0.95, -0.08)], roof),
                (_rectangle(-0.18, 0.38, 0.18, 0.95), wood),
                (_rectangle(0.32, 0.1, 0.58, 0.4), window),
                (_rectangle(-0.58, 0.1, -0.32, 0.4), window),
            ]
        case "sun":
            rays = (250, 170, 40) if colour == RGB["yellow"] else colour
            return [(_star(12, 1.05, 0.72), rays), (_disc(48, 0.66, upright), colour)]
        case "moon":
            return [(_crescent(), colour)]
        case "boat":
            return [
                (_rectangle(-0.05, -0.95, 0.05, 0.35), wood),
                ([(0.1, -0.9), (0.8, 0.2), (0.1, 0.2)], white),
                ([(-0.1, -0.6), (-0.1, 0.2), (-0.62, 0.2)], white),
                ([(-0.98, 0.35), (0.98, 0.35), (0.62, 0.9), (-0.62, 0.9)], colour),
            ]
        case "flower":
            middle = (250, 205, 60) if colour != RGB["yellow"] else (160, 90, 40)
            petals = [
                (_disc(24, 0.3, 0, 0.42 * math.cos(t), -0.35 + 0.42 * math.sin(t)), colour)
                for t in [2 * math.pi * i / 6 for i in range(6)]
            ]
            return [
                (_rectangle(-0.07, -0.2, 0.07, 1.0), green),
                ([(0.05, 0.7), (0.5, 0.35), (0.3, 0.75)], green),
                *petals,
                (_disc(24, 0.24, 0, 0, -0.35), middle),
            ]
        case "mushroom":
            turns = np.linspace(0, math.pi, 32)
            cap = [(math.cos(t), -math.sin(t) * 0.95 + 0.05) for t in turns]
            dots = white if colour != RGB["white"] else (215, 70, 60)
            return [
                ([(-0.28, 0.0), (0.28, 0.0), (0.36, 0.95), (-0.36, 0.95)], (232, 220, 195)),
                (cap, colour),
                (_disc(20, 0.16, 0, -0.4, -0.3), dots),
                (_disc(20, 0.18, 0, 0.2, -0.52), dots),
                (_disc(20, 0.12, 0, 0.6, -0.16), dots),
            ]
    raise KeyError(word)
