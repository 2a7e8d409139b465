"""The classifier whose class activation maps say where the meaning is (MSROI).

Source: Semantic Perceptual Image Compression using Deep Convolution Networks, arXiv
1612.08712, and its code. The published network never applies a nonlinearity after
conv5_3, so its logits are affine in that layer; here ReLU follows every layer of the
head, as the paper intends. Dropout is off at inference, which makes maps repeatable.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.layers.dropout import UniformDropout
from tfsemcomp.serving import manifest, signatures

MAP_METHODS = ("cam_topk", "class_features")
_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)
_VGG_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


@dataclasses.dataclass(frozen=True)
class MsroiSize:
    """Hyper-parameters of one size of the network.

    Attributes:
        trunk: "vgg16" (the published trunk, without pool5), "residual" (bottleneck
            blocks with batch normalisation, for a CPU), "keras:<Name>" for a
            ``tf.keras.applications`` network up to its last layer of stride 16, or
            "keras_cv:<preset>" for a keras-cv backbone, which keras-cv downloads.
        widths: channels of the residual trunk at strides 2, 4, 8 and 16.
        blocks: bottleneck blocks of the residual trunk at strides 4, 8 and 16.
        group_channels: channels before the depthwise layer (conv6_1), the groups.
        depth_multiplier: maps that the depthwise layer makes of each group.
        dense_channels: channels of the dense layer after it (conv6); 0 leaves it out.
        dropout: share dropped after each layer of the head, in training only.
    """

    trunk: str
    widths: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    group_channels: int = 32
    depth_multiplier: int = 32
    dense_channels: int = 0
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if self.trunk == "residual" and (len(self.widths), len(self.blocks)) != (4, 3):
            raise ValueError(
                "a residual trunk needs 4 `widths` and 3 `blocks`; got "
                f"{self.widths} and {self.blocks}."
            )


SIZES = {
    "tiny": MsroiSize("residual", (8, 8, 16, 16), (0, 1, 1), 8, 4, 0, 0.1),
    "small": MsroiSize("residual", (24, 48, 96, 256), (1, 3, 5), 128, 8, 0, 0.1),
    "paper": MsroiSize("vgg16", group_channels=32, dense_channels=1024),
}


class MsroiCnn(tf.keras.Model):
    """Fully convolutional classifier with a depthwise "3D feature" head.

        x [B,H,W,3] --trunk, stride 16--> t [B,h,w,C] --3x3--> groups [B,h,w,G]
        groups --depthwise 3x3, x D--> [B,h,w,G*D] (--3x3--> [B,h,w,M]) = F
        F --mean over h,w--> --linear, no bias--> logits [B,classes]

        ROI map: sum over chosen classes c of  sum_j W[j,c] F[:,:,:,j]  (cam_topk)
                 or of  sum_j max(W[j,c], 0) F[:,:,:,j]           (class_features)

    x: pixels in [0, 255]; F: feature maps, >= 0; h = ceil(H/16), w = ceil(W/16).
    Train with `MsroiTrainer`, export with `tfsemcomp.serving.export`, then use the
    exported model through a runner (`tfsemcomp.semantics.roi`).

    Args:
        classes: number of classes, >= 1.
        size: a name in `SIZES` or an `MsroiSize`.
        trunk_weights: for a "keras:" trunk, "imagenet" or None.
    Call args:
        inputs: float [B,H,W,3] in [0, 255], H and W >= 16.
        training: turns on dropout and batch statistics.
    Returns:
        dict: `trunk` [B,h,w,C], `features` [B,h,w,J], `pooled` [B,J] and `logits`
        [B,classes], all float32 but the first, which has the compute dtype.
    Raises:
        ValueError: for an unknown size or trunk, or `classes` below 1.
    Source: arXiv 1612.08712, section 3; layer sizes from its code.
    """

    def __init__(
        self,
        classes: int,
        size: str | MsroiSize = "small",
        trunk_weights: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if classes < 1:
            raise ValueError(f"`classes` must be at least 1; got {classes}.")
        if isinstance(size, str) and size not in SIZES:
            raise ValueError(f"`size` must be one of {sorted(SIZES)}; got '{size}'.")
        self.size = SIZES[size] if isinstance(size, str) else size
        self.classes = classes
        self.trunk_weights = trunk_weights
        self.trunk = _build_trunk(self.size, trunk_weights)
        self.head = _build_head(self.size, self.trunk.output_shape[-1])
        self.classifier = tf.keras.layers.Dense(
            classes, use_bias=False, dtype="float32", name="classifier"
        )

    def call(
        self, inputs: tf.Tensor, training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Runs trunk, head and classifier."""
        trunk = self.trunk(inputs, training=training)
        features = tf.cast(self.head(trunk, training=training), tf.float32)
        pooled = tf.reduce_mean(features, axis=(1, 2))
        return {
            "trunk": trunk,
            "features": features,
            "pooled": pooled,
            "logits": self.classifier(pooled),
        }

    def class_maps(self, features: tf.Tensor) -> tf.Tensor:
        """Class activation maps: [B,h,w,J] -> [B,h,w,classes], means = logits."""
        return tf.einsum("bhwj,jc->bhwc", features, self.classifier.kernel)

    def class_features(self, features: tf.Tensor) -> tf.Tensor:
        """What speaks for each class, without what speaks against it.

        Features are >= 0 and shared; those with a positive weight make a class's own
        stack, whose sum this is: [B,h,w,J] -> [B,h,w,classes], >= 0.
        """
        kernel = tf.nn.relu(self.classifier.kernel)
        return tf.einsum("bhwj,jc->bhwc", features, kernel)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "classes": self.classes,
            "size": dataclasses.asdict(self.size),
            "trunk_weights": self.trunk_weights,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "MsroiCnn":
        """Rebuilds the network from `get_config`."""
        size = {k: _as_tuple(v) for k, v in config["size"].items()}
        return cls(**{**config, "size": MsroiSize(**size)})


def roi_map_cam_topk(class_maps: tf.Tensor, logits: tf.Tensor, k: int = 5) -> tf.Tensor:
    """Blends the maps of the k likeliest classes, as the original's code does.

    Each class's map is min-max normalised; the blend halves the weight from one rank
    to the next, except that the last carries 1.2 of its share: for k = 5 the weights
    are 0.5, 0.25, 0.125, 0.0625 and 0.075.

    Args:
        class_maps: float [B,h,w,classes].
        logits: float [B,classes], which rank the classes.
        k: classes to blend, 1 or more; at most all are.
    Returns: float [B,h,w] in [0, 1]; a constant map gives zeros.
    Source: `generate_map` of the original.
    """
    k = min(k, logits.shape[-1])
    weights = [2.0**-rank for rank in range(1, k)] + [1.2 * 2.0 ** -(k - 1)]
    best = tf.math.top_k(logits, k=k).indices
    chosen = tf.gather(class_maps, best, axis=3, batch_dims=1)
    blend = tf.einsum("bhwk,k->bhw", normalize_map(chosen), tf.constant(weights))
    return normalize_map(blend[..., None])[..., 0]


def roi_map_class_features(
    class_features: tf.Tensor, logits: tf.Tensor, threshold: float = 0.002
) -> tf.Tensor:
    """Sums the features that speak for any class whose share is above a threshold.

    The paper adds the class-specific features of every class with Z_c > T, so that
    several objects survive. Z_c is a sum whose scale depends on the network; here the
    threshold is put on its softmax, which does not. The likeliest class always counts.
    A 3x3 mean at stride 16 takes the blocks out of the map.

    Args:
        class_features: float [B,h,w,classes], >= 0, of `MsroiCnn.class_features`.
        logits: float [B,classes].
        threshold: least softmax share of a class that counts, in [0, 1].
    Returns: float [B,h,w] in [0, 1].
    Source: arXiv 1612.08712, section 3.
    """
    share = tf.nn.softmax(logits)
    likeliest = share >= tf.reduce_max(share, axis=1, keepdims=True)
    chosen = tf.cast((share > threshold) | likeliest, class_features.dtype)
    total = tf.einsum("bhwc,bc->bhw", class_features, chosen)
    smooth = tf.nn.avg_pool2d(total[..., None], 3, 1, "SAME")
    return normalize_map(smooth)[..., 0]


def normalize_map(maps: tf.Tensor, epsilon: float = 1e-6) -> tf.Tensor:
    """Stretches each map to [0, 1]: float [B,h,w,K] -> same; constants become 0."""
    low = tf.reduce_min(maps, axis=(1, 2), keepdims=True)
    high = tf.reduce_max(maps, axis=(1, 2), keepdims=True)
    return (maps - low) / tf.maximum(high - low, epsilon)


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value


def _build_trunk(size: MsroiSize, weights: str | None) -> tf.keras.Model:
    if size.trunk == "vgg16":
        return _vgg16_trunk()
    if size.trunk == "residual":
        return residual_trunk(size.widths, size.blocks)
    if size.trunk.startswith("keras:"):
        return keras_trunk(size.trunk.removeprefix("keras:"), weights)
    if size.trunk.startswith("keras_cv:"):
        preset = size.trunk.removeprefix("keras_cv:")
        return keras_cv_trunk(_keras_cv_backbone(preset, weights is not None))
    raise ValueError(
        "`trunk` must be 'vgg16', 'residual', 'keras:<Name>' or 'keras_cv:<preset>'; "
        f"got '{size.trunk}'."
    )


def _vgg16_trunk() -> tf.keras.Model:
    x = inputs = tf.keras.Input((None, None, 3))
    x = x[..., ::-1] - tf.constant(_IMAGENET_MEAN_BGR, dtype=x.dtype)
    for block, (channels, layers) in enumerate(_VGG_BLOCKS, start=1):
        if block > 1:
            x = tf.keras.layers.MaxPool2D(2, padding="same")(x)
        for layer in range(1, layers + 1):
            x = tf.keras.layers.Conv2D(
                channels,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"conv{block}_{layer}",
            )(x)
    return tf.keras.Model(inputs, x, name="trunk")


def residual_trunk(widths: tuple[int, ...], blocks: tuple[int, ...]) -> tf.keras.Model:
    """A trunk of bottleneck blocks with batch normalisation, for a CPU.

    Args:
        widths: channels at strides 2, 4, 8 and 16.
        blocks: bottleneck blocks at strides 4, 8 and 16.
    Returns: model float [B,H,W,3] in [0, 255] -> [B,ceil(H/16),ceil(W/16),C].
    """
    # Plain convolutions: their gradients run several times faster on a CPU than those
    # of depthwise ones.
    x = inputs = tf.keras.Input((None, None, 3))
    x = x / 127.5 - 1
    x = _conv_norm(x, widths[0], 3, stride=2)
    for width, count in zip(widths[1:], blocks, strict=True):
        x = _conv_norm(x, width, 3, stride=2)
        for _ in range(count):
            x = _bottleneck(x, width)
    return tf.keras.Model(inputs, x, name="trunk")


def exported_trunk(model: str) -> tuple[MsroiSize, tf.keras.Model]:
    """The trunk of an installed model, for networks that start where it ended.

    Args:
        model: name or folder of an export of this network with a residual trunk.
    Returns: its size, and a model as of `residual_trunk` with its weights.
    Raises: SemCompError if there is no such model, or it has another trunk.
    """
    found = manifest.find(model)
    fields = found.card.get("network", {}).get("size", {})
    if fields.get("trunk") != "residual":
        raise SemCompError(
            f"{found.path}: has no residual trunk; name a model that "
            "recipes/export_msroi.py made of such a network."
        )
    size = MsroiSize(**{key: _as_tuple(value) for key, value in fields.items()})
    trunk = residual_trunk(size.widths, size.blocks)
    held = signatures.frozen_variables(found.path)
    arrays = [array for name, array in held.items() if "/trunk/" in name]
    if len(arrays) != len(trunk.weights):
        raise SemCompError(
            f"{found.path}: holds {len(arrays)} weights of a trunk where its card "
            f"means {len(trunk.weights)}; export it again."
        )
    # The graph reads them layer by layer, in the order of the trunk's own layers.
    for layer in trunk.layers:
        layer.set_weights([arrays.pop(0) for _ in layer.weights])
    return size, trunk


def _conv_norm(
    x: tf.Tensor, channels: int, kernel: int, stride: int = 1, relu: bool = True
) -> tf.Tensor:
    x = tf.keras.layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.98)(x)
    return tf.keras.layers.ReLU()(x) if relu else x


def _bottleneck(x: tf.Tensor, channels: int) -> tf.Tensor:
    y = _conv_norm(x, channels // 2, 1)
    y = _conv_norm(y, channels // 2, 3)
    y = _conv_norm(y, channels, 1, relu=False)
    return tf.keras.layers.ReLU()(x + y)


def keras_trunk(name: str, weights: str | None) -> tf.keras.Model:
    """A ``tf.keras.applications`` network cut after its last layer of stride 16.

    Args:
        name: class in ``tf.keras.applications``, such as "MobileNet" or "VGG16".
        weights: "imagenet" (downloaded by Keras) or None.
    Returns: model float [B,H,W,3] in [0, 255] -> [B,ceil(H/16),ceil(W/16),C].
    Raises:
        ValueError: if there is no such network.
    """
    builder, preprocess = keras_application(name)
    network = builder(include_top=False, weights=weights, input_shape=(224, 224, 3))
    outputs = [x.output for x in network.layers if len(x.output_shape) == 4]
    stride_16 = [x for x in outputs if x.shape[1] == 14]
    cut = tf.keras.Model(network.input, stride_16[-1])
    # Rebuilt with free height and width: the shapes above are only for the search.
    free = builder(include_top=False, weights=None, input_shape=(None, None, 3))
    free = tf.keras.Model(
        free.input,
        free.layers[
            network.layers.index(
                next(x for x in network.layers if x.output is stride_16[-1])
            )
        ].output,
    )
    free.set_weights(cut.get_weights())
    inputs = tf.keras.Input((None, None, 3))
    return tf.keras.Model(inputs, free(preprocess(inputs)), name="trunk")


def keras_cv_trunk(backbone: tf.keras.Model) -> tf.keras.Model:
    """A keras-cv backbone, with its own rescaling, cut at stride 16 (level P4).

    Args:
        backbone: float [B,H,W,3] in [0, 255] -> features.
    Returns: model float [B,H,W,3] in [0, 255] -> [B,ceil(H/16),ceil(W/16),C].
    """
    layer = backbone.get_layer(backbone.pyramid_level_inputs["P4"])
    return tf.keras.Model(backbone.input, layer.output, name="trunk")


def _keras_cv_backbone(preset: str, load_weights: bool) -> tf.keras.Model:
    try:
        import keras_cv
    except ImportError as error:
        raise UnavailableError(
            "keras-cv is not installed; pip install 'tfsemcomp[train]'."
        ) from error
    try:
        return keras_cv.models.Backbone.from_preset(preset, load_weights=load_weights)
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"keras-cv could not load preset '{preset}' ({type(error).__name__}); "
            "check its name and the connection."
        ) from error


def keras_application(name: str) -> tuple[Callable, Callable]:
    """Class and scaling of a network of ``tf.keras.applications``.

    Args:
        name: of the class, such as "MobileNet".
    Returns: what builds the network, and what scales RGB pixels in [0, 255] for it.
    Raises:
        ValueError: if there is no such network.
    """
    builder = getattr(tf.keras.applications, name, None)
    for module in vars(tf.keras.applications).values():
        if (
            builder is not None
            and hasattr(module, name)
            and hasattr(module, "preprocess_input")
        ):
            return builder, module.preprocess_input
    raise ValueError(f"`tf.keras.applications` has no network named '{name}'.")


def _build_head(size: MsroiSize, trunk_channels: int) -> tf.keras.Model:
    norm = size.trunk == "residual"
    x = inputs = tf.keras.Input((None, None, trunk_channels))
    x = tf.keras.layers.Conv2D(
        size.group_channels,
        3,
        padding="same",
        kernel_initializer="he_normal",
        name="conv6_1",
    )(x)
    x = _finish(x, norm, size.dropout)
    x = tf.keras.layers.DepthwiseConv2D(
        3,
        padding="same",
        depth_multiplier=size.depth_multiplier,
        depthwise_initializer="he_normal",
        name="depth",
    )(x)
    x = _finish(x, norm, size.dropout)
    if size.dense_channels:
        x = tf.keras.layers.Conv2D(
            size.dense_channels,
            3,
            padding="same",
            kernel_initializer="he_normal",
            name="conv6",
        )(x)
        x = _finish(x, norm, size.dropout)
    return tf.keras.Model(inputs, x, name="head")


def _finish(x: tf.Tensor, norm: bool, dropout: float) -> tf.Tensor:
    if norm:
        x = tf.keras.layers.BatchNormalization(momentum=0.98)(x)
    x = tf.keras.layers.ReLU()(x)
    return UniformDropout(dropout)(x)
