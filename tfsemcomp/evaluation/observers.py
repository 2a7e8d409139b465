"""Observers: what recognisers make of compressed pictures.

An observer is named by a string, which sweeps hand to their worker processes:

| string | observer |
|---|---|
| `mobilenet`, `resnet50`, ... | a network of ``tf.keras.applications`` |
| `keras_cv:PRESET` | a classifier of keras-cv, by preset or by its folder |
| `folder:HEAD.npz[:TRUNK]` | a classifier that `recipes/fit_observer.py` fitted |
| `segmenter:MODEL`, `segmenter:keras_cv:PRESET` | a segmentation network |

`+squash` at the end of a classifier's name takes the whole picture in place of its
centre (`observer_preprocessing.prepare`).
"""

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tfsemcomp.evaluation import observer_labels
from tfsemcomp.evaluation import observer_preprocessing as preprocessing
from tfsemcomp.evaluation.observer_labels import Labels, LabelSource

_WORDNET_ID = re.compile(r"n\d{8}")


class Observer(Protocol):
    """Judges decoded pictures by what it recognises in them.

    Attributes:
        name: what tables call it; networks, weights and heads that differ have names
            that differ.
        columns: all that it may give a value for, "what@name" each.
    """

    name: str
    columns: tuple[str, ...]

    def observe(
        self, image: str, original: np.ndarray, decoded: np.ndarray
    ) -> dict[str, float]:
        """Judges one decoded picture.

        Args:
            image: the picture's name in the table.
            original: uint8 [H,W,3].
            decoded: uint8 [H,W,3], same size.

        Returns:
            A value by column, for each that this picture allows.
        """

    def observe_batch(
        self,
        images: Sequence[str],
        originals: Sequence[np.ndarray],
        decoded: Sequence[np.ndarray],
    ) -> list[dict[str, float]]:
        """The same for several pictures, whose sizes may differ, at less cost."""


def load(
    spec: str,
    labels: LabelSource | None = None,
) -> Observer:
    """Makes the observer that a string names.

    Args:
        spec: see this module.
        labels: for accuracies of classifiers: class by picture, or the path of a list
            (`observer_labels.read_list`). Classes are names or indexes of the
            observer's own classes; for ImageNet networks names are WordNet ids, such
            as n02123045. None, or names of which not one is a class of the observer,
            leave accuracies out.

    Raises:
        ValueError: an unknown string, or a class that the observer does not have.
        SemCompError: a missing or damaged list or file.
        UnavailableError: weights that cannot be downloaded, or a package that is not
            installed.
    """
    kind, _, argument = spec.partition(":")
    if ":" not in spec:
        return _imagenet(spec, labels)
    if kind not in _KINDS or not argument:
        raise ValueError(_unknown(spec))
    return _KINDS[kind](argument, labels)


def _split_crop(spec: str) -> tuple[str, str]:
    name, plus, crop = spec.rpartition("+")
    if plus and crop in preprocessing.CROPS:
        return name, crop
    return spec, "centre"


def _imagenet(spec: str, labels: LabelSource | None) -> Observer:
    from tfsemcomp.evaluation import observer_networks
    from tfsemcomp.evaluation.observer_classifiers import Classifier

    name, crop = _split_crop(spec)
    key = preprocessing.find_network(name)
    if key is None:
        raise ValueError(_unknown(spec))
    found = _imagenet_labels(observer_labels.resolve(labels))
    return Classifier(observer_networks.keras_application(key), found, crop)


def _keras_cv(argument: str, labels: LabelSource | None) -> Observer:
    from tfsemcomp.evaluation import observer_networks
    from tfsemcomp.evaluation.observer_classifiers import Classifier

    preset, crop = _split_crop(argument)
    network = observer_networks.keras_cv_classifier(preset)
    found = observer_labels.resolve(labels)
    if network.width == observer_networks.IMAGENET_CLASSES:
        found = _imagenet_labels(found)
    elif found is not None:
        found = found.of_classes((), network.width)
    return Classifier(network, found, crop)


def _imagenet_labels(labels: Labels | None) -> Labels | None:
    from tfsemcomp.evaluation import observer_networks

    if labels is None:
        return None
    has_ids = any(_WORDNET_ID.fullmatch(name) for name in labels.names())
    ids = observer_networks.imagenet_ids() if has_ids else ()
    return labels.of_classes(ids, observer_networks.IMAGENET_CLASSES)


def _unknown(spec: str) -> str:
    return (
        f"`observers` names {spec!r}, which is none: give a network of "
        "tf.keras.applications (mobilenet, resnet50, efficientnetb0, ...), "
        "keras_cv:PRESET, folder:HEAD.npz or segmenter:MODEL."
    )


_KINDS = {"keras_cv": _keras_cv}
