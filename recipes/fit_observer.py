"""Fit an observer for your own classes: a frozen network and a linear classifier.

Paper:  arXiv 1910.03472 (classifiers as observers); the closed form is ours.
Run:    python recipes/fit_observer.py --train=DATA_DIR/classification/train.txt \
            --test=DATA_DIR/classification/test.txt --trunk=mobilenet --out=caltech.npz
        tfsemcomp evaluate --observers=folder:caltech.npz ...
Cost:   2 to 5 minutes for 3,731 views (1,613 training pictures twice, 505 test
        pictures) through MobileNet on 2 shared CPU cores; 1.2 GB.
Expect: top-1 89.7 % on 505 test photos of 101 classes with 16 training photos each
        (Caltech-101), with MobileNet v1's features before its last 1x1 convolution.
Result: the head, which names its trunk and holds none of its weights; JSON on stdout.

A list is a text file, a picture a line: a path below the list's folder (or below
`--data_dir`) whose last folder is the class, or `path<TAB>class name`. `--trunk` is a
network of tf.keras.applications (mobilenet, resnet50, efficientnetb0, ...), whose
ImageNet weights Keras downloads, or the path of an npz of weights of MobileNet v1 or
VGG16.
"""

import json
import os
from collections.abc import Iterator

import numpy as np
import tensorflow  # noqa: F401  Keras breaks if it is first imported under app.run
from absl import app, flags

from tfsemcomp import images
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import observer_heads, observer_labels
from tfsemcomp.evaluation.observer_networks import Network
from tfsemcomp.evaluation.observer_preprocessing import CROPS
from tfsemcomp.metrics import recognition
from tfsemcomp.training.linear_probe import fit_ridge

_TRAIN = flags.DEFINE_string("train", None, "List to fit on.", required=True)
_TEST = flags.DEFINE_string("test", None, "List to measure on.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "What paths are below.")
_TRUNK = flags.DEFINE_string("trunk", "mobilenet", "A network, or an npz.")
_OUT = flags.DEFINE_string("out", None, "The head, an .npz file.", required=True)
_CROP = flags.DEFINE_enum("crop", "squash", CROPS, "How pictures become squares.")
_L2 = flags.DEFINE_float("l2", 0.1, "Weight of the ridge penalty.", 1e-6)
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two pictures of two classes each.")
_MIRROR = flags.DEFINE_boolean("mirror", True, "Fit on mirrored pictures too.")


def read_pictures(list_path: str) -> tuple[list[str], list[str]]:
    """Paths and class names of a list; with --smoke, of four of its pictures.

    Raises:
        SemCompError: as `observer_labels.read_list`, or if a class is an index.
    """
    classes = observer_labels.read_list(list_path)
    indexes = [path for path, name in classes.items() if not isinstance(name, str)]
    if indexes:
        raise SemCompError(
            f"{list_path}: {indexes[0]} has a class index; heads need class names."
        )
    if _SMOKE.value:
        first = list(dict.fromkeys(classes.values()))[:2]
        few = [[p for p, name in classes.items() if name == c][:2] for c in first]
        classes = {path: classes[path] for paths in few for path in paths}
    folder = _DATA_DIR.value or os.path.dirname(list_path)
    return [os.path.join(folder, path) for path in classes], list(classes.values())


def embed(trunk: Network, paths: list[str], mirrored: bool = False) -> np.ndarray:
    """Features of picture files, float32 [N,D]."""
    pictures: Iterator[np.ndarray] = (images.read(path) for path in paths)
    return observer_heads.embed(trunk, pictures, _CROP.value, mirrored)


def fit(trunk: Network, paths: list[str], names: list[str]) -> observer_heads.Head:
    """The head of a trunk for labelled pictures."""
    classes = tuple(sorted(set(names)))
    labels = np.array([classes.index(name) for name in names])
    features = embed(trunk, paths)
    if _MIRROR.value:
        features = np.concatenate([features, embed(trunk, paths, mirrored=True)])
        labels = np.tile(labels, 2)
    kernel, bias = fit_ridge(features, labels, len(classes), l2=_L2.value)
    return observer_heads.Head(
        kernel, bias, classes, _TRUNK.value, trunk.name, _CROP.value
    )


def measure(
    head: observer_heads.Head, trunk: Network, paths: list[str], names: list[str]
) -> dict[str, float]:
    """Accuracies on labelled pictures.

    Raises:
        SemCompError: a class that the head was not fitted on.
    """
    unknown = sorted(set(names) - set(head.classes))
    if unknown:
        raise SemCompError(f"`--test` has classes without training: {unknown[0]}.")
    labels = np.array([head.classes.index(name) for name in names])
    shares = head.shares(embed(trunk, paths))
    ranks = [k for k in (1, 5) if k < len(head.classes)]
    return {f"top{k}": recognition.top_k(shares, labels, k) for k in ranks}


def main(argv: list[str]) -> None:
    """Fits, saves and measures."""
    del argv
    training = read_pictures(_TRAIN.value)
    test = read_pictures(_TEST.value) if _TEST.value else None
    trunk = observer_heads.load_trunk(_TRUNK.value)
    head = fit(trunk, *training)
    observer_heads.save(_OUT.value, head)
    result = {
        "head": _OUT.value,
        "trunk": trunk.name,
        "classes": len(head.classes),
        "train": len(training[0]),
    }
    if test is not None:
        result["test"] = len(test[0])
        result |= measure(head, trunk, *test)
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
