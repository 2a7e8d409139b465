"""Segmenters: networks of keras-cv that tell the class of every pixel.

Sources: Chen et al., arXiv 1802.02611 (DeepLabV3+); Xie et al., arXiv 2105.15203
(SegFormer). The networks are keras-cv's; sizes, loss and measures are ours.
"""

import dataclasses
import math
from types import ModuleType

import tensorflow as tf

from tfsemcomp.errors import UnavailableError
from tfsemcomp.models import runs
from tfsemcomp.models.single_loss import SingleLossModel

ARCHITECTURES = ("deeplab_v3_plus", "segformer")
# Sides of pictures are multiples of this: pixels to a coarsest position, along an axis.
MULTIPLE = 32
# Pixels to a position of the scores, along each axis.
STRIDE = 4


@dataclasses.dataclass(frozen=True)
class SegmenterSize:
    """Hyper-parameters of one size.

    Attributes:
        architecture: one of `ARCHITECTURES`; deeplab_v3_plus stands on a ResNetV2,
            segformer on a MiT.
        widths: channels at strides 4, 8, 16 and 32; of a ResNetV2 those inside its
            bottleneck blocks, a quarter of the others.
        blocks: of each, of a ResNetV2 at least 2.
        head: channels of the head.
        dilations: of the pooling of DeepLabV3+, in positions of stride 32.
        side: of the only pictures that it takes, pixels; 0 takes any. keras-cv's
            SegFormer needs squares of one size.
        preset: keras-cv's name of the same trunk trained on ImageNet; "" for none.
    """

    architecture: str
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    head: int
    dilations: tuple[int, ...] = ()
    side: int = 0
    preset: str = ""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"`architecture` must be one of {ARCHITECTURES}; got "
                f"'{self.architecture}'."
            )
        if len(self.widths) != 4 or len(self.blocks) != 4:
            raise ValueError(
                f"`widths` and `blocks` must have four values each; got {self.widths} "
                f"and {self.blocks}."
            )
        if self.side % MULTIPLE or (self.architecture == "segformer") != (
            self.side > 0
        ):
            raise ValueError(
                f"`side` must be a multiple of {MULTIPLE} for segformer and 0 for "
                f"deeplab_v3_plus; got {self.side}."
            )


SIZES = {
    "tiny": SegmenterSize(
        "deeplab_v3_plus", (4, 4, 8, 8), (2, 2, 2, 2), 16, dilations=(2,)
    ),
    "small": SegmenterSize(
        "deeplab_v3_plus", (16, 32, 64, 96), (2, 2, 3, 2), 96, dilations=(2, 4, 6)
    ),
    "deeplab": SegmenterSize(
        "deeplab_v3_plus",
        (64, 128, 256, 512),
        (3, 4, 6, 3),
        256,
        dilations=(6, 12, 18),
        preset="resnet50_v2_imagenet",
    ),
    "segformer": SegmenterSize(
        "segformer",
        (32, 64, 160, 256),
        (2, 2, 2, 2),
        256,
        side=512,
        preset="mit_b0_imagenet",
    ),
}


class Segmenter(SingleLossModel):
    """The class of every pixel of a picture.

        x --trunk--> features at strides 4 .. 32 --head--> scores at stride 4
        scores --bilinear x4--> logits           labels = argmax(logits)

    Loss: the cross-entropy of the pixels that have a class, with smoothed truth.

    Batches: {"image": uint8 [B,H,W,3], "planes": uint8 [B,H,W,1]}, planes of class
    indexes. Workflow: `compile`, `fit`, export `segment` (recipes/export_segmenter.py).

    Args:
        classes: their number, 2 to 255, with the one that is ignored.
        ignored: a class that is no answer and not learned, such as "unlabelled"; None
            without. Values from `classes` on are never learned.
        size: a name in `SIZES` or a `SegmenterSize`.
        smoothing: share of the truth spread over all classes, in [0, 1).
    Call args:
        x: float [B,H,W,3] in [0, 255], H and W multiples of 32.
        training: turns on batch statistics.
    Returns: scores float32 [B,H/4,W/4,classes].
    Raises: ValueError for an unknown size or wrong classes; UnavailableError without
        keras-cv.
    """

    def __init__(
        self,
        classes: int,
        ignored: int | None = None,
        size: str | SegmenterSize = "small",
        smoothing: float = 0.05,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.size = runs.resolve_size(size, SIZES)
        if not 2 <= classes <= 255:
            raise ValueError(f"`classes` must be from 2 to 255; got {classes}.")
        if ignored is not None and not 0 <= ignored < classes:
            raise ValueError(
                f"`ignored` must be one of {classes} classes; got {ignored}."
            )
        if not 0 <= smoothing < 1:
            raise ValueError(f"`smoothing` must be in [0, 1); got {smoothing}.")
        self.classes, self.ignored, self.smoothing = classes, ignored, smoothing
        self.network = _build_network(self.size, classes)
        self._define_means("loss", "accuracy", "miou")

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        side = self.size.side or MULTIPLE
        self(tf.zeros([1, side, side, 3]))

    def take_trunk(self) -> None:
        """Begins with a trunk trained on ImageNet, which keras-cv downloads.

        Raises:
            ValueError: there is none for this size.
            UnavailableError: it cannot be had.
        """
        if not self.size.preset:
            raise ValueError("this size has no trunk that was trained on ImageNet.")
        keras_cv = _keras_cv()
        try:
            trained = keras_cv.models.Backbone.from_preset(self.size.preset)
        except Exception as error:  # whatever the download raises
            raise UnavailableError(
                f"keras-cv cannot load {self.size.preset} ({type(error).__name__}); "
                "train without `--trunk`."
            ) from error
        for layer in trained.layers:
            if layer.weights:
                self.network.get_layer(layer.name).set_weights(layer.get_weights())

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Runs the network."""
        return tf.cast(self.network(x, training=training), tf.float32)

    def segment(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classes of pictures.

        Args:
            images: float32 [B,H,W,3] in [0, 255].
        Returns: "scores" float32 [B,H/4,W/4,classes]; "labels" int32 [B,H,W], of which
            none is `ignored`.
        """
        scores = self(images, training=False)
        if self.ignored is not None:
            never = tf.one_hot(self.ignored, self.classes, on_value=-math.inf)
            # -inf would spread through the interpolation as NaN.
            scores += tf.maximum(never, -1e4)
        size = tf.shape(images)[1:3]
        logits = tf.image.resize(scores, size)
        return {
            "scores": scores,
            "labels": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }

    def _losses_of(
        self, batch: dict[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        truth = tf.cast(batch["planes"][..., 0], tf.int32)
        scores = self(tf.cast(batch["image"], tf.float32), training=training)
        logits = tf.keras.layers.UpSampling2D(STRIDE, interpolation="bilinear")(scores)
        counts = truth < self.classes
        if self.ignored is not None:
            counts &= truth != self.ignored
        counts = tf.cast(counts, tf.float32)
        total = tf.maximum(tf.reduce_sum(counts), 1)
        soft = tf.one_hot(truth, self.classes) * (1 - self.smoothing)
        soft += self.smoothing / self.classes
        entropy = tf.nn.softmax_cross_entropy_with_logits(soft, logits)
        found = tf.argmax(logits, axis=-1, output_type=tf.int32)
        right = tf.cast(found == truth, tf.float32)
        return {
            "loss": tf.reduce_sum(entropy * counts) / total,
            "accuracy": tf.reduce_sum(right * counts) / total,
            "miou": mean_iou(truth, found, counts, self.classes),
        }

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "classes": self.classes,
            "ignored": self.ignored,
            "size": dataclasses.asdict(self.size),
            "smoothing": self.smoothing,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Segmenter":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(SegmenterSize, config["size"])
        return cls(**{**config, "size": size})


def mean_iou(
    truth: tf.Tensor, found: tf.Tensor, counts: tf.Tensor, classes: int
) -> tf.Tensor:
    """Mean intersection over union of the classes that occur in a batch.

    Args:
        truth: int32 [B,H,W].
        found: int32 [B,H,W].
        counts: float32 [B,H,W], 1 where a pixel counts, else 0.
        classes: their number.
    Returns: float32 scalar in [0, 1].
    """
    true = tf.one_hot(truth, classes) * counts[..., None]
    mine = tf.one_hot(found, classes) * counts[..., None]
    both = tf.reduce_sum(true * mine, axis=(0, 1, 2))
    either = tf.reduce_sum(true + mine, axis=(0, 1, 2)) - both
    occurs = tf.cast(either > 0, tf.float32)
    shares = tf.math.divide_no_nan(both, either)
    return tf.math.divide_no_nan(tf.reduce_sum(shares), tf.reduce_sum(occurs))


def load_run(folder: str) -> Segmenter:
    """The trained segmenter of a run, see `runs.load`."""
    return runs.load(Segmenter, folder, "recipes/train_segmenter.py")


def signatures(
    model: Segmenter,
) -> dict[str, tf.types.experimental.GenericFunction]:
    """What `serving.export.export` takes of a trained segmenter.

    segment: image float32 [B,H,W,3] in [0, 255], H and W multiples of 32 -> scores
        float32 [B,H/4,W/4,classes], labels int32 [B,H,W]
    """
    side = model.size.side or None
    spec = tf.TensorSpec([None, side, side, 3], tf.float32, name="image")

    @tf.function(input_signature=[spec])
    def segment(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.segment(image)

    return {"segment": segment}


def _build_network(size: SegmenterSize, classes: int) -> tf.keras.Model:
    """float [B,H,W,3] in [0, 255] -> scores [B,H/4,W/4,classes]."""
    keras_cv = _keras_cv()
    if size.architecture == "segformer":
        return _segformer(keras_cv, size, classes)
    trunk = keras_cv.models.ResNetV2Backbone(
        stackwise_filters=list(size.widths),
        stackwise_blocks=list(size.blocks),
        stackwise_strides=[1, 2, 2, 2],
        include_rescaling=True,
    )
    pooling = keras_cv.layers.SpatialPyramidPooling(
        dilation_rates=list(size.dilations), num_channels=size.head
    )
    return keras_cv.models.DeepLabV3Plus(
        trunk,
        classes,
        projection_filters=size.head // 2,
        spatial_pyramid_pooling=pooling,
        segmentation_head=_head(size.head, classes),
        name="network",
    )


def _segformer(
    keras_cv: ModuleType, size: SegmenterSize, classes: int
) -> tf.keras.Model:
    trunk = keras_cv.models.MiTBackbone(
        include_rescaling=True,
        depths=list(size.blocks),
        embedding_dims=list(size.widths),
        input_shape=(size.side, size.side, 3),
    )
    whole = keras_cv.models.SegFormer(trunk, classes, projection_filters=size.head)
    # It ends with probabilities at full size; the scores lie before them.
    last = [x for x in whole.layers if isinstance(x, tf.keras.layers.Conv2D)][-1]
    last.activation = tf.keras.activations.linear
    return tf.keras.Model(whole.input, last.output, name="network")


def _head(width: int, classes: int) -> tf.keras.Sequential:
    """Scores where the pooled and the fine features meet."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(width, 3, padding="same", use_bias=False),
            tf.keras.layers.BatchNormalization(momentum=0.98),
            tf.keras.layers.ReLU(),
            tf.keras.layers.Conv2D(classes, 1, dtype="float32"),
        ],
        name="head",
    )


def _keras_cv() -> ModuleType:
    try:
        import keras_cv
    except ImportError as error:
        raise UnavailableError(
            "segmenters need keras-cv; pip install 'tfsemcomp[train]'."
        ) from error
    return keras_cv
