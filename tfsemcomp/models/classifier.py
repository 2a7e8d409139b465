"""Classifiers for fine-grained sets: networks of Keras with a new head, or our own.

    x [B,H,W,3] in 0..255 --the family's own scaling--> --trunk--> features [B,h,w,C]
    features --mean over h,w--> --dropout--> --linear--> logits [B,classes]

VGG has its own head instead: two layers of 4096 with dropout before the linear one.

Train with `ClassifierTrainer`, export with `evaluation.observer_models` and classify as
an observer; `recipes/train_classifier.py` does all of it. Networks of Keras have no
auxiliary classifier, so the published recipe's loss of it is left out.

Source: arXiv 1910.03472, whose classifiers were fine-tuned on undistorted pictures.
"""

import dataclasses

import tensorflow as tf
from absl import logging

from tfsemcomp import trunks
from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.layers.dropout import UniformDropout
from tfsemcomp.models.labelled_trainer import LabelledTrainer
from tfsemcomp.models.msroi_cnn import keras_application, residual_trunk

IMAGENET = "imagenet"
NONE = "none"
_DENSE_CHANNELS = 4096
_DENSE_DROPOUT = 0.5
# Weights of convolutions and dense layers, which decay; those of depthwise ones, of
# normalisations and biases do not.
_DECAYING = ("kernel", "pointwise_kernel")


@dataclasses.dataclass(frozen=True)
class ClassifierSize:
    """Hyper-parameters of one size of our own network.

    Attributes:
        widths: channels at strides 2, 4, 8 and 16.
        blocks: bottleneck blocks at strides 4, 8 and 16.
        dropout: share of the features dropped in training.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    dropout: float


SIZES = {
    "tiny": ClassifierSize((8, 8, 16, 16), (0, 1, 1), 0.0),
    "small": ClassifierSize((24, 48, 96, 256), (1, 3, 5), 0.2),
}


def residual(classes: int, size: str) -> tf.keras.Model:
    """Our own network, to be trained from scratch.

    Args:
        classes: number of classes, >= 1.
        size: a name in `SIZES`.
    Returns: model float [B,H,W,3] in [0, 255], H and W >= 16, to logits float32
        [B,classes].
    Raises:
        ValueError: for an unknown size.
    """
    if size not in SIZES:
        raise ValueError(f"`size` must be one of {sorted(SIZES)}; got '{size}'.")
    trunk = residual_trunk(SIZES[size].widths, SIZES[size].blocks)
    inputs = tf.keras.Input((None, None, 3))
    features = trunk(inputs)
    return tf.keras.Model(inputs, _head(features, classes, SIZES[size].dropout))


def fine_tuned(
    name: str,
    classes: int,
    crop: int,
    weights: str = IMAGENET,
    dropout: float = 0.0,
    momentum: float | None = None,
) -> tf.keras.Model:
    """A network of ``tf.keras.applications`` with a new head, all of it trainable.

    Args:
        name: of the class there, such as "MobileNet".
        classes: number of classes, >= 1.
        crop: height and width of the pictures, pixels.
        weights: "imagenet", which Keras downloads; "none"; or the path of an npz (one
            array a weight, named `<layer>/<weight>`; layers that it lacks start at
            random) or of an .h5 of the network without its classifier.
        dropout: share of the features dropped in training; VGG has its own.
        momentum: of the moving averages of batch normalisations; None leaves Keras'.
    Returns: model float [B,crop,crop,3] in [0, 255] to logits float32 [B,classes].
    Raises:
        ValueError: there is no such network, or the crop is too small for it.
        UnavailableError: Keras cannot download the weights.
        SemCompError: there is no such file, or it holds weights of another network.
        BitstreamError: the npz is damaged or has a misshapen weight.
    """
    builder, preprocess = keras_application(name)
    options = {"include_top": False, "input_shape": (crop, crop, 3)}
    if weights == IMAGENET:
        try:
            trunk = builder(weights=IMAGENET, **options)
        except ValueError:
            raise
        except Exception as error:  # Keras raises a plain Exception
            raise UnavailableError(
                f"cannot get the ImageNet weights of {name}: {error}. Give the path of "
                "its weights instead."
            ) from error
    else:
        trunk = builder(weights=None, **options)
    if weights not in (IMAGENET, NONE):
        _load(trunk, weights)
    for layer in trunk.layers:
        if momentum is not None and hasattr(layer, "momentum"):
            layer.momentum = momentum
    inputs = tf.keras.Input((crop, crop, 3))
    features = trunk(preprocess(inputs))
    head = _dense_head if name.startswith("VGG") else _head
    return tf.keras.Model(inputs, head(features, classes, dropout))


def _load(trunk: tf.keras.Model, path: str) -> None:
    if path.endswith(".npz"):
        lacking = trunks.load_npz(trunk, path, may_lack_layers=True)
        if lacking:
            logging.warning("%s: lacks %s: they start at random", path, lacking)
        return
    try:
        trunk.load_weights(path)
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SemCompError(
            f"{path}: cannot be loaded as weights of {trunk.name} without its "
            f"classifier: {reason}"
        ) from error


def _head(features: tf.Tensor, classes: int, dropout: float) -> tf.Tensor:
    pooled = tf.keras.layers.GlobalAveragePooling2D()(features)
    pooled = UniformDropout(dropout)(pooled)
    return tf.keras.layers.Dense(classes, dtype="float32", name="logits")(pooled)


def _dense_head(features: tf.Tensor, classes: int, _: float) -> tf.Tensor:
    x = tf.keras.layers.Flatten()(features)
    for name in ("fc6", "fc7"):
        x = tf.keras.layers.Dense(_DENSE_CHANNELS, activation="relu", name=name)(x)
        x = UniformDropout(_DENSE_DROPOUT)(x)
    return tf.keras.layers.Dense(classes, dtype="float32", name="fc8")(x)


class ClassifierTrainer(LabelledTrainer):
    """A network with its loss: cross-entropy, and L2 of what decays.

    Only `network` is exported.

    Args:
        network: pixels float [B,H,W,3] in [0, 255] to logits float32 [B,classes].
        weight_decay: w in loss += w * sum of squares / 2, as TF-slim counts it.
    """

    def __init__(self, network: tf.keras.Model, weight_decay: float) -> None:
        super().__init__()
        self.network = network
        self.weight_decay = weight_decay
        self.means = {n: tf.keras.metrics.Mean(n) for n in ("loss", "cross_entropy")}
        self.top1 = tf.keras.metrics.SparseCategoricalAccuracy("top1")
        self.top5 = tf.keras.metrics.SparseTopKCategoricalAccuracy(5, "top5")
        self.built = True

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """Running means, which Keras resets for each epoch."""
        return [*self.means.values(), self.top1, self.top5]

    def decaying(self) -> list[tf.Variable]:
        """The weights that decay."""
        return [
            weight
            for weight in self.network.trainable_variables
            if weight.name.rsplit("/", 1)[-1].split(":")[0] in _DECAYING
        ]

    def _forward(
        self, batch: dict[str, tf.Tensor], training: bool
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        pixels = tf.cast(batch["image"], tf.float32)
        logits = self.network(pixels, training=training)
        entropy = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
        )
        squares = tf.add_n([tf.nn.l2_loss(weight) for weight in self.decaying()])
        loss = entropy + self.weight_decay * squares
        return {"loss": loss, "cross_entropy": entropy}, logits

    def _report(
        self, losses: dict[str, tf.Tensor], logits: tf.Tensor, labels: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        for name, value in losses.items():
            self.means[name].update_state(value)
        self.top1.update_state(labels, logits)
        self.top5.update_state(labels, logits)
        return {metric.name: metric.result() for metric in self.metrics}
