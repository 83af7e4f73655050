"""How well concept maps agree with masks, pixel by pixel, each token standing for its 8 x 8."""

from dataclasses import dataclass

import numpy as np

from scenes import OBJECTS

MINIMUM_PIXELS = 16  # concepts with fewer in a scene are not measured there

# acc          share of pixels whose concept is the one with the largest map
# argmax_miou  intersection over union of where a concept's map is the largest
# miou         intersection over union of where a map is above its mean
# map          average precision of a map as a ranking of the pixels
# The last three are means over the concepts in the scene; obj_... over the objects among these.
PER_CONCEPT = ("argmax_miou", "miou", "map")
METRICS = ("acc", *PER_CONCEPT, *(f"obj_{name}" for name in PER_CONCEPT))


@dataclass(frozen=True)
class Truth:
    """Pixels of each concept in each token, [concepts, tokens], of `cell` pixels a token."""

    concepts: list[str]
    counts: np.ndarray
    cell: int

    @classmethod
    def from_labels(
        cls, concepts: list[str], labels: np.ndarray, names: list[str], grid: int
    ) -> "Truth":
        """From a label map [size, size] whose pixels are indices in `names`."""
        side = labels.shape[0] // grid
        masks = np.stack([labels == names.index(concept) for concept in concepts])
        counts = masks.reshape(-1, grid, side, grid, side).sum((2, 4))
        return cls(concepts, counts.reshape(len(concepts), -1), side * side)


def score(maps: np.ndarray, truth: Truth) -> dict[str, float]:
    """The metrics of one scene's maps [concepts, tokens]; without obj_... where no object is."""
    values: dict[str, list[float]] = {}
    winner = maps.argmax(0)
    for index, concept in enumerate(truth.concepts):
        if truth.counts[index].sum() < MINIMUM_PIXELS:
            continue
        scores = _concept_scores(maps[index], winner == index, truth.counts[index], truth.cell)
        for name, value in scores.items():
            values.setdefault(name, []).append(value)
            if concept in OBJECTS:
                values.setdefault(f"obj_{name}", []).append(value)
    right = truth.counts[winner, np.arange(len(winner))].sum()
    accuracy = float(right / (len(winner) * truth.cell))
    return {"acc": accuracy, **{name: float(np.mean(v)) for name, v in values.items()}}


def _concept_scores(
    values: np.ndarray, wins: np.ndarray, counts: np.ndarray, cell: int
) -> dict[str, float]:
    total = counts.sum()

    def iou(chosen: np.ndarray) -> float:
        hits = counts[chosen].sum()
        return float(hits / (chosen.sum() * cell + total - hits))

    hits = counts[np.argsort(-values, kind="stable")]
    precision = np.cumsum(hits) / (np.arange(1, len(hits) + 1) * cell)
    return {
        "argmax_miou": iou(wins),
        "miou": iou(values > values.mean()),
        "map": float((hits / total * precision).sum()),
    }
