"""A frozen ImageNet network whose features smaller networks learn from.

Its weights are the user's (trunks.py); nothing of them is ever exported.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfsemcomp import trunks

_DENSE_LAYER = "conv_pw_11_relu"
_DEEP_LAYER = "conv_pw_12_relu"


class Teacher(tf.keras.Model):
    """MobileNet v1 up to `conv_pw_12`, frozen.

        x [B,H,W,3] --MobileNet, stride 16--> dense [B,h,w,512]
        dense --MobileNet, stride 32--> deep [B,h/2,w/2,1024]
        deep --mean over positions--> pooled [B,1024]
        pooled --linear (`set_classifier`)--> logits [B,classes]

    Args:
        weights: "imagenet", which Keras downloads, or the path of an npz.
        classes: of the linear classifier, which starts as zeros.
    Call args:
        inputs: float [B,H,W,3] in [0, 255], H and W multiples of 32.
    Returns: dict of `dense`, `deep`, `pooled` and `logits`, float32.
    Raises:
        UnavailableError: if Keras cannot download the weights.
        SemCompError: if the npz is missing.
        BitstreamError: if it lacks a weight or one has another shape.
    Source: arXiv 1704.04861 (MobileNet).
    """

    def __init__(self, weights: str, classes: int, **kwargs) -> None:
        super().__init__(dtype="float32", **kwargs)
        layers = (_DENSE_LAYER, _DEEP_LAYER)
        self.network = trunks.build("mobilenet", weights, layers)
        width = self.network.output_shape[1][-1]
        self.kernel = self.add_weight("kernel", (width, classes), initializer="zeros")
        self.trainable = False

    def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs the frozen network."""
        dense, deep = self.network(
            trunks.preprocess("mobilenet", inputs), training=False
        )
        pooled = tf.reduce_mean(deep, axis=(1, 2))
        return {
            "dense": dense,
            "deep": deep,
            "pooled": pooled,
            "logits": pooled @ self.kernel,
        }

    def set_classifier(self, kernel: np.ndarray) -> None:
        """Takes the linear classifier, without bias, that `linear_probe` fitted."""
        self.kernel.assign(kernel)


def feature_function(
    network: str, weights: str, layers: Sequence[str]
) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """What some layers of a frozen ImageNet network see, for losses.

    Args:
        network: "mobilenet" or "vgg16".
        weights: "imagenet", which Keras downloads, or the path of an npz.
        layers: names of layers, at least one.
    Returns: pictures float [B,H,W,3] in [0, 255] -> [B,h,w,C] of each layer.
    Raises: as `trunks.build`.
    """
    trunk = trunks.build(network, weights, layers)

    def features(images: tf.Tensor) -> list[tf.Tensor]:
        found = trunk(trunks.preprocess(network, images), training=False)
        return list(found) if len(layers) > 1 else [found]

    return features
