#!/usr/bin/env python3
"""Scores a folder of concept maps on a data set in the layout of PASCAL VOC 2012: the peer of `evaluate --maps`.

    score_maps.py TREE MAPS [--json FILE] [--threshold 0.35]
    score_maps.py --make TREE [--pictures 1000]      # a tree of 500 x 375 and maps of 20 classes and background to try it on

NumPy and Pillow, and scikit-learn for confusion matrices and average precision, as one would write it: maps are brought to
the mask's size bilinearly, argmax with and without a threshold on the softmax, every class in a picture against its mask.
One process; NumPy's threads are its own affair.
"""
import argparse
import json
import pathlib

import numpy as np
from PIL import Image
from sklearn.metrics import average_precision_score, confusion_matrix

VOC = ("background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
       "pottedplant sheep sofa train tvmonitor").split()


def axis(count, target):
    place = np.maximum((np.arange(target) + 0.5) * count / target - 0.5, 0)
    low = np.minimum(place.astype(int), count - 1)
    return low, np.minimum(low + 1, count - 1), place - low


def resized(maps, height, width):
    top, bottom, down = axis(maps.shape[1], height)
    left, right, across = axis(maps.shape[2], width)
    rows = maps[:, top] * (1 - down)[:, None] + maps[:, bottom] * down[:, None]
    return rows[:, :, left] * (1 - across) + rows[:, :, right] * across


def overlap(counts):
    hit = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hit
    return float(np.mean(hit[union > 0] / union[union > 0]))


def score(tree, folder, threshold):
    base = pathlib.Path(tree) / "VOCdevkit/VOC2012"
    ids = (base / "ImageSets/Segmentation/val.txt").read_text().split()
    labels = np.arange(len(VOC))
    total, unsure = (np.zeros((len(VOC), len(VOC)), np.int64) for _ in range(2))
    binary, precisions = np.zeros((2, 2), np.int64), []
    for name in ids:
        Image.open(base / f"JPEGImages/{name}.jpg").load()      # half a picture would be a fault of the data set
        mask = np.array(Image.open(base / f"SegmentationClass/{name}.png"))
        with np.load(pathlib.Path(folder) / f"{name}.npz") as file:
            maps, concepts = file["maps"].astype(np.float64), [VOC.index(str(c)) for c in file["concepts"]]
        big, known = resized(maps, *mask.shape), mask != 255
        found = np.array(concepts)[big.argmax(0)]
        total += confusion_matrix(mask[known], found[known], labels=labels)
        powers = np.exp(big - big.max(0))
        sure = powers.max(0) / powers.sum(0) >= threshold
        unsure += confusion_matrix(mask[known], np.where(sure, found, 0)[known], labels=labels)
        for row, concept in enumerate(concepts):
            truth = (mask == concept)[known]
            if concept == 0 or not truth.any():
                continue
            plane = big[row]
            binary += confusion_matrix(truth, (plane > plane.mean())[known], labels=[False, True])
            precisions.append(average_precision_score(truth, plane[known]))
    return {
        "pictures": len(ids), "accuracy": float(np.diag(total).sum() / total.sum()), "miou": overlap(total),
        "threshold_accuracy": float(np.diag(unsure).sum() / unsure.sum()), "threshold_miou": overlap(unsure),
        "binary_accuracy": float(np.diag(binary).sum() / binary.sum()), "binary_miou": overlap(binary),
        "map": float(np.mean(precisions)),
    }


def make(tree, pictures):
    random = np.random.default_rng(1)
    base, height, width = pathlib.Path(tree) / "VOCdevkit/VOC2012", 375, 500
    maps = pathlib.Path(tree) / "maps"
    for folder in (base / "JPEGImages", base / "SegmentationClass", base / "ImageSets/Segmentation", maps):
        folder.mkdir(parents=True, exist_ok=True)
    palette = random.integers(0, 256, 768).astype(np.uint8).tobytes()
    down, across = np.mgrid[0:height, 0:width]
    names = [f"2008_{index:06d}" for index in range(pictures)]
    for name in names:
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3)).astype(np.uint8))
        picture = np.array(coarse.resize((width, height), Image.BICUBIC)).astype(int)
        picture += random.integers(-12, 13, (height, width, 1))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(base / f"JPEGImages/{name}.jpg", quality=90)
        mask = np.zeros((height, width), np.uint8)
        for kind in random.choice(np.arange(1, 21), random.integers(1, 5), replace=False):
            y, x, ry, rx = (random.integers(*limits) for limits in ((0, height), (0, width), (30, 150), (30, 150)))
            distance = ((down - y) / ry) ** 2 + ((across - x) / rx) ** 2
            mask[distance < 1.08] = 255
            mask[distance < 1] = kind
        image = Image.fromarray(mask)
        image.putpalette(palette)
        image.save(base / f"SegmentationClass/{name}.png")
        small = np.array(Image.fromarray(mask).resize((64, 64), Image.NEAREST))
        signal = 2 * (small[None] == np.arange(21)[:, None, None])
        np.savez(maps / f"{name}.npz", maps=(random.normal(0, 1, (21, 64, 64)) + signal).astype(np.float32),
                 concepts=np.array(VOC), id=np.array(name))
    (base / "ImageSets/Segmentation/val.txt").write_text("\n".join(names) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree")
    parser.add_argument("maps", nargs="?")
    parser.add_argument("--threshold", type=float, default=0.35)
    parser.add_argument("--json")
    parser.add_argument("--make", action="store_true", help="makes the tree instead")
    parser.add_argument("--pictures", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.tree, arguments.pictures)
    else:
        result = score(arguments.tree, arguments.maps, arguments.threshold)
        if arguments.json:
            pathlib.Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result, indent=1))
