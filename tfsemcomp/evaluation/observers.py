"""Observers: what recognisers make of compressed pictures.

An observer is named by a string, which sweeps hand to their worker processes:

| string | observer |
|---|---|
| `mobilenet`, `resnet50`, ... | a network of ``tf.keras.applications`` |
| `keras_cv:PRESET` | a classifier of keras-cv, by preset or by its folder |
| `folder:HEAD.npz[:TRUNK]` | a classifier that `recipes/fit_observer.py` fitted |
| `folder:FOLDER` | a classifier that `recipes/train_classifier.py` trained |
| `segmenter:MODEL`, `segmenter:keras_cv:FOLDER` | a segmentation network |

`+squash` after a classifier of the first two kinds takes the whole picture in place of
its centre (`observer_preprocessing.prepare`).
"""

import dataclasses
import os
import re

from tfsemcomp.evaluation import (
    observer_heads,
    observer_labels,
    observer_models,
    observer_networks,
    observer_segmenters,
)
from tfsemcomp.evaluation import observer_preprocessing as preprocessing
from tfsemcomp.evaluation.observer_base import Observer
from tfsemcomp.evaluation.observer_classifiers import Classifier
from tfsemcomp.evaluation.observer_labels import Labels, LabelSource
from tfsemcomp.evaluation.observer_networks import Network
from tfsemcomp.evaluation.observer_segmenters import LabelMapSource

_KERAS_CV = "keras_cv:"
_NPZ = ".npz"
_SEGMENTER = "segmenter"
_WORDNET_ID = re.compile(r"n\d{8}")


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
    if kind == _SEGMENTER and argument:
        return observer_segmenters.load(argument, label_maps)
    return load_classifier(spec, labels)


def load_classifier(spec: str, labels: LabelSource | None = None) -> Classifier:
    """Makes the observer that a string names, if it classifies.

    Args:
        spec: see this module.
        labels: as `load` takes them.

    Raises:
        As `load`; ValueError also for an observer that segments.
    """
    kind, _, argument = spec.partition(":")
    if kind == _SEGMENTER and argument:
        raise ValueError(
            f"`observer` must classify, but {spec!r} segments; give a network of "
            "tf.keras.applications, keras_cv:PRESET, folder:HEAD.npz or folder:FOLDER."
        )
    found = observer_labels.resolve(labels)
    if kind == "folder" and argument:
        network, classes, crop = _folder(argument)
    else:
        network, crop = _pretrained(spec)
        classes = ()
    if found is not None:
        known = classes or _imagenet(network, found)
        found = found.of_classes(known, network.width)
    return Classifier(network, found, crop, classes)


def _folder(argument: str) -> tuple[Network, tuple[str, ...], str]:
    """A network of the user's own classes, their names, and its crop."""
    if os.path.isdir(argument):
        network, card = observer_models.load(argument)
        return network, card.classes, card.crop
    path, npz, trunk = argument.partition(f"{_NPZ}:")
    path = path + _NPZ if npz else path
    network, head = observer_heads.classifier(path, trunk or None)
    return network, head.classes, head.crop


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
            "keras_cv:PRESET, folder:HEAD.npz, folder:FOLDER or segmenter:MODEL."
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
        return tuple(wordnet for wordnet, _ in observer_networks.imagenet_classes())
    return ()
