"""Folders of trained models: run.json, from which a model is rebuilt, and weights."""

import json
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TypeVar

import tensorflow as tf

from tfsemcomp.errors import SemCompError

Model = TypeVar("Model", bound=tf.keras.Model)
Size = TypeVar("Size")


def save(model: tf.keras.Model, folder: str, facts: dict) -> None:
    """Writes what `load` reads: run.json and model.weights.h5.

    Args:
        model: trained.
        folder: made when missing.
        facts: JSON values that run.json tells beside the network.
    """
    tf.io.gfile.makedirs(folder)
    model.save_weights(f"{folder}/model.weights.h5")
    record = {**facts, "network": model.get_config()}
    text = json.dumps(record, indent=1, sort_keys=True)
    with tf.io.gfile.GFile(f"{folder}/run.json", "w") as file:
        file.write(text + "\n")


def load(kind: type[Model], folder: str, recipe: str) -> Model:
    """Loads the trained model of a run.

    Args:
        kind: class of the model, with `from_config` and `create_weights`.
        folder: with run.json and model.weights.h5.
        recipe: that makes such folders, for the message.
    Raises: SemCompError if they are not there.
    """
    path = f"{folder}/run.json"
    if not tf.io.gfile.exists(path):
        raise SemCompError(f"{path} is not there: let {recipe} end.")
    with tf.io.gfile.GFile(path) as file:
        model = kind.from_config(json.load(file)["network"])
    model.create_weights()
    model.load_weights(f"{folder}/model.weights.h5")
    return model


def take_weights(model: tf.keras.Model, other: tf.keras.Model, alike: str) -> None:
    """Copies all weights of a model of the same shape, to train on from it.

    Args:
        model: gets them.
        other: has them.
        alike: what the two must share, for the message.
    Raises: ValueError if their weights differ in number or shape.
    """
    shapes = [[w.shape.as_list() for w in each.weights] for each in (model, other)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"`other` has weights of other shapes: give a model of the same {alike}."
        )
    for mine, theirs in zip(model.weights, other.weights, strict=True):
        mine.assign(theirs)


def store_variables(variables: Sequence[tf.Variable], store: MutableMapping) -> None:
    """For a model's `save_own_variables`: what is no layer's.

    Keras alone would leave out a prior, a tf.Module, without a word.
    """
    for number, variable in enumerate(variables):
        store[str(number)] = variable.numpy()


def restore_variables(
    variables: Sequence[tf.Variable], store: Mapping, what: str, alike: str
) -> None:
    """For a model's `load_own_variables`: takes what `store_variables` wrote.

    Args:
        variables: of the model.
        store: of the file.
        what: they are, for the message.
        alike: what models must share to have as many of them, for the message.
    Raises: ValueError if the file has more or fewer.
    """
    if len(store) != len(variables):
        raise ValueError(
            f"the file has {len(store)} {what}, this model {len(variables)}: load "
            f"weights of the same {alike}."
        )
    for number, variable in enumerate(variables):
        variable.assign(store[str(number)])


def resolve_size(size: str | Size, sizes: Mapping[str, Size]) -> Size:
    """The size of a name, or the size itself.

    Raises: ValueError, listing the names, if there is none of this name.
    """
    if isinstance(size, str) and size not in sizes:
        raise ValueError(f"`size` must be one of {sorted(sizes)}; got '{size}'.")
    return sizes[size] if isinstance(size, str) else size


def rebuild_size(kind: type[Size], fields: Mapping) -> Size:
    """A size of its fields as JSON has them, with lists in place of tuples."""
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
    )
