"""A network that finds the edges people draw: sides at several scales, then their sum.

Source: Liu et al., "Richer convolutional features for edge detection", CVPR 2017 (RCF):
side outputs of every convolution, class-balanced cross-entropy without uncertain
pixels. The sizes `small` and `tiny` have batch normalisation, so that they learn from
scratch; `paper` is RCF on VGG16, which starts from ImageNet weights.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfsemcomp import trunks
from tfsemcomp.models import runs
from tfsemcomp.models.single_loss import SingleLossModel

# What a pixel of "edges" must exceed to be one, of 0 (nobody drew it) to 1 (all did).
POSITIVE = 0.3
# Weight of pixels without an edge, beside those with one (RCF's lambda).
NEGATIVE_WEIGHT = 1.1
_BATCH_NORM_MOMENTUM = 0.98
_VGG_LAST = "block5_conv3"
_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)


@dataclasses.dataclass(frozen=True)
class EdgeSize:
    """Hyper-parameters of one size.

    Attributes:
        widths: channels at strides 1, 2, 4, ...
        convolutions: 3x3 ones of each stage.
        side_width: channels that each convolution gives to its stage's side output.
        vgg: as VGG16: no batch normalisation, biases, BGR less ImageNet's means; the
            last stage keeps the stride of the one before and is dilated.
    """

    widths: tuple[int, ...]
    convolutions: tuple[int, ...]
    side_width: int
    vgg: bool = False

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.convolutions) or not self.widths:
            raise ValueError(
                "`widths` and `convolutions` must have a value for each stage; got "
                f"{self.widths} and {self.convolutions}."
            )


SIZES = {
    "tiny": EdgeSize((8, 12, 16), (1, 1, 1), 4),
    "small": EdgeSize((16, 32, 64, 96, 128), (2, 2, 3, 3, 3), 16),
    "paper": EdgeSize((64, 128, 256, 512, 512), (2, 2, 3, 3, 3), 21, vgg=True),
}


class EdgeDetector(SingleLossModel):
    """Edges of a picture as probabilities, from side outputs of many scales.

        x --stage 1--> f_1 --pool--> stage 2 --> f_2 --pool--> ... f_S
        side_s = up(1x1(sum over the stage's convolutions of 1x1(features)))
        fused  = 1x1(side_1, ..., side_S)          strength = sigmoid(fused)

    up: bilinear to the size of x. All sides and their fusion are trained alike:

        L = sum over fused and sides of the mean over pixels of  w(y) CE(side, y)

    y: the share of people who drew an edge there. Pixels above `positive` are edges,
    those of 0 none, others do not count. w is the share of the other kind in the
    picture, times `NEGATIVE_WEIGHT` without an edge: the kinds weigh about alike.

    Batches: {"image": uint8 [B,H,W,3], "planes": uint8 [B,H,W,1]}, 255 where all people
    drew an edge.

    Workflow: `compile`, `fit`, export `structure` (recipes/export_edge_detector.py);
    use it by `semantics.edges.extract(image, "learned")`.

    Args:
        size: a name in `SIZES` or an `EdgeSize`.
        positive: see above, in [0, 1).
    Call args:
        x: float [B,H,W,3] in [0, 255].
        training: turns on batch statistics.
    Returns: float32 [B,H,W,1+S], logits: fused, then the sides.
    Raises: ValueError for an unknown size or a wrong `positive`.
    Source: arXiv 1612.02103; batch normalisation and the sizes but `paper` are ours.
    """

    def __init__(
        self, size: str | EdgeSize = "small", positive: float = POSITIVE, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.size = runs.resolve_size(size, SIZES)
        if not 0 <= positive < 1:
            raise ValueError(f"`positive` must be in [0, 1); got {positive}.")
        self.positive = positive
        self.trunk = _build_trunk(self.size)
        stages = len(self.size.widths)
        self.sides = [
            tf.keras.layers.Conv2D(1, 1, dtype="float32", name=f"side{stage + 1}")
            for stage in range(stages)
        ]
        self.fusion = tf.keras.layers.Conv2D(
            1,
            1,
            kernel_initializer=tf.keras.initializers.Constant(1 / stages),
            dtype="float32",
            name="fusion",
        )
        self._define_means("loss", "fused", "precision", "recall")

    def create_weights(self) -> None:
        """Creates all weights by one pass over an empty picture."""
        self(tf.zeros([1, 32, 32, 3]))

    def take_trunk(self, weights: str) -> None:
        """Begins with VGG16's weights, as the paper does.

        Args:
            weights: "imagenet", which Keras downloads, or the path of an npz, see
                `trunks.build`.
        Raises:
            ValueError: this size is not made like VGG16.
            SemCompError: the weights cannot be had.
        """
        if not self.size.vgg:
            raise ValueError("`weights` of VGG16 fit no other size than 'paper'.")
        network = trunks.build("vgg16", weights, [_VGG_LAST])
        for layer in network.layers:
            if layer.weights:
                self.trunk.get_layer(layer.name).set_weights(layer.get_weights())

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Runs trunk, sides and fusion."""
        stages = self.trunk(x, training=training)
        sides = [
            _enlarge(side(tf.cast(features, tf.float32)), x, stride)
            for side, features, stride in zip(
                self.sides, stages, _strides(self.size), strict=True
            )
        ]
        sides = tf.concat(sides, axis=-1)
        return tf.concat([self.fusion(sides), sides], axis=-1)

    def strength(self, images: tf.Tensor) -> tf.Tensor:
        """Probability of an edge: float32 [B,H,W,3] in [0, 255] -> [B,H,W]."""
        return tf.sigmoid(self(images, training=False)[..., 0])

    def _losses_of(
        self, batch: dict[str, tf.Tensor], training: bool
    ) -> dict[str, tf.Tensor]:
        logits = self(tf.cast(batch["image"], tf.float32), training=training)
        drawn = tf.cast(batch["planes"][..., 0], tf.float32) / 255
        terms = balanced_cross_entropy(logits, drawn, self.positive)
        found = tf.cast(logits[..., 0] > 0, tf.float32)
        edges = tf.cast(drawn > self.positive, tf.float32)
        right = tf.reduce_sum(found * tf.cast(drawn > 0, tf.float32))
        return {
            "loss": tf.reduce_sum(terms),
            "fused": terms[0],
            "precision": tf.math.divide_no_nan(right, tf.reduce_sum(found)),
            "recall": tf.math.divide_no_nan(
                tf.reduce_sum(found * edges), tf.reduce_sum(edges)
            ),
        }

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": dataclasses.asdict(self.size),
            "positive": self.positive,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "EdgeDetector":
        """Rebuilds the model from `get_config`."""
        size = runs.rebuild_size(EdgeSize, config["size"])
        return cls(**{**config, "size": size})


def balanced_cross_entropy(
    logits: tf.Tensor, drawn: tf.Tensor, positive: float = POSITIVE
) -> tf.Tensor:
    """RCF's loss of each side output, see `EdgeDetector`.

    Args:
        logits: float32 [B,H,W,S].
        drawn: float32 [B,H,W] in [0, 1], the share of people who drew an edge.
        positive: share above which it is one.
    Returns: float32 [S], means over pixels and pictures.
    Source: arXiv 1612.02103, section 3.2; sums there, means here.
    """
    edges = tf.cast(drawn > positive, tf.float32)
    none = tf.cast(drawn == 0, tf.float32)
    count = tf.reduce_sum(edges, axis=(1, 2), keepdims=True)
    others = tf.reduce_sum(none, axis=(1, 2), keepdims=True)
    # A picture without any edge has weight 0 where there is none, too.
    total = tf.maximum(count + others, 1)
    weights = edges * others / total + NEGATIVE_WEIGHT * none * count / total
    labels = tf.broadcast_to(edges[..., None], tf.shape(logits))
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(weights[..., None] * entropy, axis=(0, 1, 2))


def load_run(folder: str) -> EdgeDetector:
    """The trained detector of a run, see `runs.load`."""
    return runs.load(EdgeDetector, folder, "recipes/train_edge_detector.py")


def signatures(
    model: EdgeDetector,
) -> dict[str, tf.types.experimental.GenericFunction]:
    """What `serving.export.export` takes of a trained detector.

    structure: images float32 [B,H,W,3] in [0, 255] -> strength float32 [B,H,W] in
        [0, 1]
    """
    spec = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")

    @tf.function(input_signature=[spec])
    def structure(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"strength": model.strength(images)}

    return {"structure": structure}


def _build_trunk(size: EdgeSize) -> tf.keras.Model:
    """float [B,H,W,3] in [0, 255] -> features of each stage, [B,h,w,side_width]."""
    x = inputs = tf.keras.Input((None, None, 3))
    if size.vgg:
        x = x[..., ::-1] - tf.constant(_IMAGENET_MEAN_BGR, dtype=x.dtype)
    else:
        x = x / 127.5 - 1
    found = []
    for stage, (width, count) in enumerate(
        zip(size.widths, size.convolutions, strict=True), start=1
    ):
        dilated = size.vgg and stage == len(size.widths)
        if stage > 1:
            stride = 1 if dilated else 2
            x = tf.keras.layers.MaxPool2D(2, stride, padding="same")(x)
        gathered = []
        for number in range(1, count + 1):
            # Named as in Keras' VGG16, whose weights fit.
            name = f"block{stage}_conv{number}"
            x = _convolution(x, width, 2 if dilated else 1, size.vgg, name)
            gathered.append(
                tf.keras.layers.Conv2D(size.side_width, 1, name=f"{name}_side")(x)
            )
        found.append(_sum(gathered))
    return tf.keras.Model(inputs, found, name="trunk")


def _strides(size: EdgeSize) -> list[int]:
    """Pixels that a feature of each stage stands for."""
    found = [2**stage for stage in range(len(size.widths))]
    if size.vgg:
        found[-1] = found[-2]
    return found


def _enlarge(side: tf.Tensor, x: tf.Tensor, stride: int) -> tf.Tensor:
    """Bilinear interpolation to the height and width of x: [B,h,w,1] -> [B,H,W,1].

    As products of matrices: tf.image.resize computes in double precision under XLA.
    """
    if stride == 1:
        return side
    rows, columns = (_interpolation(side, x, axis, stride) for axis in (1, 2))
    enlarged = tf.einsum("Yy,byx->bYx", rows, side[..., 0])
    return tf.einsum("Xx,bYx->bYX", columns, enlarged)[..., None]


def _interpolation(side: tf.Tensor, x: tf.Tensor, axis: int, stride: int) -> tf.Tensor:
    """Weights of features for pixels, [H,h]; beyond the outermost they go on."""
    few, many = (_length(tensor, axis) for tensor in (side, x))
    places = (tf.range(many, dtype=tf.float32) + 0.5) / stride - 0.5
    places = tf.clip_by_value(places, 0, tf.cast(few - 1, tf.float32))
    known = tf.range(few, dtype=tf.float32)
    return tf.nn.relu(1 - tf.abs(places[:, None] - known))


def _length(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static


def _convolution(
    x: tf.Tensor, width: int, dilation: int, vgg: bool, name: str
) -> tf.Tensor:
    x = tf.keras.layers.Conv2D(
        width,
        3,
        padding="same",
        dilation_rate=dilation,
        use_bias=vgg,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    if not vgg:
        x = tf.keras.layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM)(x)
    return tf.keras.layers.ReLU()(x)


def _sum(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.keras.layers.Add()(tensors) if len(tensors) > 1 else tensors[0]
