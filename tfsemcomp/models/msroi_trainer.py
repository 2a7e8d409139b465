"""How the MSROI classifier learns: from labels, and from a teacher everywhere."""

import dataclasses

import tensorflow as tf

from tfsemcomp.models.labelled_trainer import LabelledTrainer
from tfsemcomp.models.msroi_cnn import MsroiCnn
from tfsemcomp.models.teacher import Teacher


@dataclasses.dataclass(frozen=True)
class MsroiLoss:
    """Weights and form of the losses; a weight of 0 leaves a loss out.

    Attributes:
        kind: "softmax" (one class an image) or "sigmoid" (any number; the label's
            class is present, the others are taken as absent).
        label: cross-entropy with the labels.
        logits: cross-entropy with the teacher's softened class shares.
        dense: 1 - cosine between the projected trunk and the teacher's features of
            stride 16, at each position.
        deep: the same between the head's features and the teacher's of stride 32.
        maps: 1 - correlation, over an image's positions, between the class features of
            all classes and the strength of the teacher's features of stride 32, which
            is high on objects of any class. Labels alone drive maps to whatever tells
            the classes apart, backgrounds too.
        smoothing: of the labels, in [0, 1).
        temperature: divides both logits in the `logits` loss.
    """

    kind: str = "softmax"
    label: float = 1.0
    logits: float = 1.0
    dense: float = 1.0
    deep: float = 2.0
    maps: float = 2.0
    smoothing: float = 0.1
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in ("softmax", "sigmoid"):
            raise ValueError(
                f"`kind` must be 'softmax' or 'sigmoid'; got '{self.kind}'."
            )


class MsroiTrainer(LabelledTrainer):
    """The network with its losses and, for distillation, its teacher.

        x --student--> trunk, features, logits --losses--> label
        x --teacher--> dense, deep,     logits --losses--> distillation

    Only `student` is exported. Unlabelled images (label -1) count in the teacher's
    losses alone.

    Args:
        student: the network to train.
        loss: weights of the losses.
        teacher: a frozen `Teacher`, or None to learn from labels alone.
    """

    def __init__(
        self, student: MsroiCnn, loss: MsroiLoss, teacher: Teacher | None = None
    ) -> None:
        super().__init__()
        self.student = student
        self.teacher = teacher
        self.loss_weights = loss
        self.dense_projection = self.deep_projection = None
        if teacher is not None:
            dense, deep = teacher.network.output_shape
            self.dense_projection = tf.keras.layers.Dense(dense[-1], dtype="float32")
            self.deep_projection = tf.keras.layers.Dense(deep[-1], dtype="float32")
        names = ["loss", "label", "logits", "dense", "deep", "maps"]
        self.means = {name: tf.keras.metrics.Mean(name) for name in names}
        self.top1 = tf.keras.metrics.SparseCategoricalAccuracy("top1")
        self.top5 = tf.keras.metrics.SparseTopKCategoricalAccuracy(5, "top5")

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """Running means, which Keras resets for each epoch."""
        return [*self.means.values(), self.top1, self.top5]

    def create_weights(self, crop: int) -> None:
        """Creates all weights by one pass over an empty image of `crop` pixels."""
        batch = {
            "image": tf.zeros([1, crop, crop, 3], tf.uint8),
            "label": tf.zeros([1], tf.int64),
        }
        self._forward(batch, training=False)
        self.built = True

    def _forward(
        self, batch: dict[str, tf.Tensor], training: bool
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        pixels = tf.cast(batch["image"], tf.float32)
        weights = self.loss_weights
        student = self.student(pixels, training=training)
        losses = {"label": self._label_loss(student["logits"], batch["label"])}
        total = weights.label * losses["label"]
        if self.teacher is not None:
            teacher = self.teacher(pixels)
            losses |= self._teacher_losses(student, teacher)
            total += weights.logits * losses["logits"]
            total += weights.dense * losses["dense"]
            total += weights.deep * losses["deep"]
            total += weights.maps * losses["maps"]
        return {"loss": total, **losses}, student["logits"]

    def _label_loss(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        smoothing = self.loss_weights.smoothing
        # A label of -1 becomes a row of zeros.
        target = tf.one_hot(labels, self.student.classes)
        if self.loss_weights.kind == "softmax":
            target = target * (1 - smoothing) + smoothing / self.student.classes
            loss = tf.nn.softmax_cross_entropy_with_logits(target, logits)
        else:
            target = target * (1 - smoothing) + smoothing / 2
            loss = tf.nn.sigmoid_cross_entropy_with_logits(target, logits)
            loss = tf.reduce_sum(loss, axis=-1)
        labelled = tf.cast(labels >= 0, tf.float32)
        return tf.reduce_sum(loss * labelled) / tf.maximum(tf.reduce_sum(labelled), 1)

    def _teacher_losses(
        self, student: dict[str, tf.Tensor], teacher: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        heat = self.loss_weights.temperature
        share = tf.nn.softmax(teacher["logits"] / heat)
        logits = tf.nn.softmax_cross_entropy_with_logits(
            share, student["logits"] / heat
        )
        dense = self.dense_projection(tf.cast(student["trunk"], tf.float32))
        features = tf.nn.avg_pool2d(student["features"], 2, 2, "SAME")
        found = tf.reduce_sum(self.student.class_features(features), axis=-1)
        wanted = tf.reduce_sum(teacher["deep"], axis=-1)
        return {
            "logits": tf.reduce_mean(logits),
            "dense": _cosine_distance(dense, teacher["dense"]),
            "deep": _cosine_distance(self.deep_projection(features), teacher["deep"]),
            "maps": _uncorrelation(found, wanted),
        }

    def _report(
        self,
        losses: dict[str, tf.Tensor],
        logits: tf.Tensor,
        labels: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        for name, value in losses.items():
            self.means[name].update_state(value)
        labelled = tf.cast(labels >= 0, tf.float32)
        labels = tf.maximum(labels, 0)
        self.top1.update_state(labels, logits, sample_weight=labelled)
        self.top5.update_state(labels, logits, sample_weight=labelled)
        return {
            **{name: self.means[name].result() for name in losses},
            "top1": self.top1.result(),
            "top5": self.top5.result(),
        }


def _cosine_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    a = a * tf.math.rsqrt(tf.reduce_sum(a * a, axis=-1, keepdims=True) + 1e-6)
    b = b * tf.math.rsqrt(tf.reduce_sum(b * b, axis=-1, keepdims=True) + 1e-6)
    return tf.reduce_mean(1 - tf.reduce_sum(a * b, axis=-1))


def _uncorrelation(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """1 - Pearson's correlation over the positions of each [B,h,w], mean over B."""
    a = a - tf.reduce_mean(a, axis=(1, 2), keepdims=True)
    b = b - tf.reduce_mean(b, axis=(1, 2), keepdims=True)
    shared = tf.reduce_sum(a * b, axis=(1, 2))
    lengths = tf.reduce_sum(a * a, axis=(1, 2)) * tf.reduce_sum(b * b, axis=(1, 2))
    return tf.reduce_mean(1 - shared * tf.math.rsqrt(lengths + 1e-6))
