"""Networks behind observers: pictures of the right size -> class shares or features.

Weights are the user's: Keras and keras-cv download them on first use.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tfsemcomp.errors import UnavailableError
from tfsemcomp.evaluation import observer_preprocessing as preprocessing

if TYPE_CHECKING:
    import tensorflow as tf

IMAGENET_CLASSES = 1000
# keras-cv states no input size for its classifiers.
_KERAS_CV_SIDE = 224
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Network:
    """A classifier, or a trunk that gives features in place of class shares.

    Attributes:
        name: what tables call it.
        side: of the pictures it takes, in pixels.
        width: number of classes, or of features.
        run: from uint8 [B,side,side,3], RGB, to float32 [B,width]; of a classifier
            >= 0 with rows that sum to 1.
    """

    name: str
    side: int
    width: int
    run: Callable[[np.ndarray], np.ndarray] = dataclasses.field(repr=False)


def keras_application(name: str, *, top: bool = True) -> Network:
    """Loads a network of ``tf.keras.applications`` with its own preprocessing.

    Args:
        name: a key of `observer_preprocessing.NETWORKS`.
        top: with its classifier of 1000 classes; otherwise features, the last layer's
            mean over positions.

    Raises:
        UnavailableError: Keras cannot download the weights.
    """
    import tensorflow as tf

    family, builder = preprocessing.NETWORKS[name]
    side = family.networks[builder]
    options = {"input_shape": (side, side, 3), "include_top": top}
    if not top:
        options["pooling"] = "avg"
    build = getattr(tf.keras.applications, builder)
    model = _fetch(name, lambda: build(weights="imagenet", **options))
    scale = getattr(tf.keras.applications, family.module).preprocess_input
    return Network(name, side, model.output_shape[-1], _runner(model, side, scale))


def keras_cv_classifier(preset: str) -> Network:
    """Loads a classifier of keras-cv, which scales pictures by its own first layer.

    Args:
        preset: of ``keras_cv.models.ImageClassifier``, such as
            "efficientnetv2_b0_imagenet_classifier", or the folder of its files.

    Raises:
        ValueError: no such preset, or one without a trained classifier.
        UnavailableError: keras-cv is not installed or cannot download the weights.
    """
    model = keras_cv_model("ImageClassifier", preset)
    if len(model.output_shape) != 2:
        raise ValueError(f"`{preset}` is a {type(model).__name__}, no classifier.")
    side = model.input_shape[1] or _KERAS_CV_SIDE
    name = pathlib.PurePath(preset).name
    scale = keras_cv_scaling(model)
    run = _runner(model, side, scale, softmax=not _gives_shares(model))
    return Network(name, side, model.output_shape[-1], run)


def keras_cv_model(kind: str, preset: str) -> "tf.keras.Model":
    """Loads a task model of keras-cv together with its trained head.

    Args:
        kind: the class in ``keras_cv.models`` whose presets count.
        preset: one of that class with weights of its own, or the folder of the files
            of one, of any class: config.json and weights, as keras-cv publishes them.

    Raises:
        ValueError: no such preset, or one with a backbone only: its head would be
            random.
        UnavailableError: keras-cv is not installed or cannot download the weights.
    """
    try:
        # It greets on stdout, where programs expect results only.
        with contextlib.redirect_stdout(sys.stderr):
            import keras_cv
    except ImportError as error:
        raise UnavailableError(
            "observers of keras-cv need it: pip install 'tfsemcomp[train]'."
        ) from error
    if os.path.isdir(preset):
        return _fetch(preset, lambda: keras_cv.models.Task.from_preset(preset))
    task = getattr(keras_cv.models, kind)
    with_weights = set(task.presets) & set(task.presets_with_weights)
    trained = sorted(with_weights - set(task.backbone_presets))
    if preset not in trained:
        raise ValueError(
            f"`{preset}` is no trained {kind} of keras-cv. With this Keras there are "
            f"{', '.join(trained) or 'none'}; or name the folder of a preset's files."
        )
    return _fetch(preset, lambda: task.from_preset(preset))


def keras_cv_scaling(model: "tf.keras.Model") -> Callable[[Any], Any]:
    """What a model of keras-cv wants done to pictures in 0..255.

    Its backbones divide by 255 themselves unless told not to (`include_rescaling`);
    then they want pictures in [0, 1].
    """
    if getattr(model.backbone, "include_rescaling", True):
        return lambda images: images
    return lambda images: images / 255.0


@functools.lru_cache(maxsize=1)
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """WordNet id and name of the 1000 ImageNet classes in the order of their indexes.

    Raises:
        UnavailableError: Keras cannot download its list.
    """
    import tensorflow as tf

    decode = tf.keras.applications.imagenet_utils.decode_predictions
    one_each = np.eye(IMAGENET_CLASSES, dtype=np.float32)
    found = _fetch("the list of ImageNet classes", lambda: decode(one_each, top=1))
    return tuple(best[0][:2] for best in found)


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Deals items into lists of `size`; the last may be shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _fetch(name: str, load: Callable[[], Any]) -> Any:
    """Runs something that downloads; whatever it raises becomes one line."""
    try:
        # Keras tells of downloads on stdout, where programs expect results only.
        with contextlib.redirect_stdout(sys.stderr):
            return load()
    except Exception as error:  # Keras and its download helpers raise many kinds
        reason = " ".join(str(error).split())[:300]
        raise UnavailableError(
            f"cannot get {name}: {type(error).__name__}: {reason}. What is not on this "
            "machine is downloaded on first use."
        ) from error


def _gives_shares(model: "tf.keras.Model") -> bool:
    activation = model.activation
    name = activation if isinstance(activation, str) else None
    return (name or getattr(activation, "__name__", "")) == "softmax"


def _runner(
    model: "tf.keras.Model",
    side: int,
    scale: Callable[[Any], Any],
    softmax: bool = False,
) -> Callable[[np.ndarray], np.ndarray]:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8)])
    def run(images: tf.Tensor) -> tf.Tensor:
        outputs = model(scale(tf.cast(images, tf.float32)), training=False)
        return tf.nn.softmax(outputs) if softmax else outputs

    return lambda images: run(tf.constant(images)).numpy()
