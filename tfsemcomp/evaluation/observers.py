"""Observers: what recognisers make of compressed pictures.

An observer is named by a string, which sweeps hand to their worker processes:

| string | observer |
|---|---|
| `mobilenet`, `resnet50`, ... | a network of ``tf.keras.applications`` |
| `keras_cv:PRESET` | a classifier of keras-cv, by preset or by its folder |
| `folder:HEAD.npz[:TRUNK]` | a classifier that `recipes/fit_observer.py` fitted |
| `segmenter:MODEL`, `segmenter:keras_cv:FOLDER` | a segmentation network |

`+squash` after a classifier of the first two kinds takes the whole picture in place of
its centre (`observer_preprocessing.prepare`).
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tfsemcomp.evaluation import (
    observer_heads,
    observer_labels,
    observer_networks,
    observer_segmenters,
)
from tfsemcomp.evaluation import observer_preprocessing as preprocessing
from tfsemcomp.evaluation.observer_classifiers import Classifier
from tfsemcomp.evaluation.observer_heads import Head
from tfsemcomp.evaluation.observer_labels import Labels, LabelSource
from tfsemcomp.evaluation.observer_networks import Network
from tfsemcomp.evaluation.observer_segmenters import LabelMapSource

_KERAS_CV = "keras_cv:"
_NPZ = ".npz"
_WORDNET_ID = re.compile(r"n\d{8}")


class Observer(Protocol):
    """Judges decoded pictures by what it recognises in them.

    Attributes:
        name: what tables call it.
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
    label_maps: LabelMapSource | None = None,
) -> Observer:
    """Makes the observer that a string names.

    Args:
        spec: see this module.
        labels: for accuracies of classifiers: class by picture, or the path of a list
            (`observer_labels.read_list`). Classes are names or indexes of the
            observer's own classes; for ImageNet networks names are WordNet ids, such
            as n02123045. None, or names of which not one is a class of the observer,
            leave accuracies out.
        label_maps: for `miou` of segmenters: a folder of label maps, or uint8 [H,W] by
            picture (`observer_segmenters.Segmenter`). None leaves `miou` out.

    Raises:
        ValueError: an unknown string, or a class that the observer does not have.
        SemCompError: a missing or damaged list or file.
        UnavailableError: weights that cannot be downloaded, or a package that is not
            installed.
    """
    kind, _, argument = spec.partition(":")
    if kind == "segmenter" and argument:
        return observer_segmenters.load(argument, label_maps)
    found = observer_labels.resolve(labels)
    classes: tuple[str, ...] = ()
    if kind == "folder" and argument:
        network, head = _folder(argument)
        classes, crop = head.classes, head.crop
    else:
        network, crop = _pretrained(spec)
    if found is not None:
        found = found.of_classes(classes or _imagenet(network, found), network.width)
    return Classifier(network, found, crop)


def _folder(argument: str) -> tuple[Network, Head]:
    path, npz, trunk = argument.partition(f"{_NPZ}:")
    return observer_heads.classifier(path + _NPZ if npz else path, trunk or None)


def _pretrained(spec: str) -> tuple[Network, str]:
    """A network with the classifier that it was published with, and its crop."""
    name, crop = _split_crop(spec)
    preset = name.removeprefix(_KERAS_CV)
    key = preprocessing.find_network(name)
    if key is not None:
        network = observer_networks.keras_application(key)
    elif preset and preset != name:
        network = observer_networks.keras_cv_classifier(preset)
    else:
        raise ValueError(
            f"`observers` names {spec!r}, which is none: give a network of "
            "tf.keras.applications (mobilenet, resnet50, efficientnetb0, ...), "
            "keras_cv:PRESET, folder:HEAD.npz or segmenter:MODEL."
        )
    if crop != "centre":
        network = dataclasses.replace(network, name=f"{network.name}+{crop}")
    return network, crop


def _split_crop(name: str) -> tuple[str, str]:
    base, plus, crop = name.rpartition("+")
    return (base, crop) if plus and crop in preprocessing.CROPS else (name, "centre")


def _imagenet(network: Network, labels: Labels) -> tuple[str, ...]:
    """WordNet ids of a network's classes, where the labels are such ids."""
    is_imagenet = network.width == observer_networks.IMAGENET_CLASSES
    if is_imagenet and any(map(_WORDNET_ID.fullmatch, labels.names())):
        return observer_networks.imagenet_ids()
    return ()
