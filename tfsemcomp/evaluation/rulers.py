"""All metrics that an evaluation asks for, and features for distances between sets."""

from collections.abc import Iterable

import numpy as np

# A network must not be the first to import it: once absl has read flags, that leaves
# TensorFlow without eager execution.
import tensorflow as tf  # noqa: F401

from tfsemcomp import metrics
from tfsemcomp.metrics import backbones

# Distances of features that are told of every picture where there is a backbone.
FEATURES = ("feature_lpips", "feature_dists")


class Ruler:
    """Measures pictures.

    Args:
        names: of metrics.
        backbone: name or path of the network whose features are compared, too; "" for
            none.

    Attributes:
        backbone: the network, or None.
        metrics: those asked for and the distances of features.
    """

    def __init__(self, names: Iterable[str], backbone: str) -> None:
        names = list(names)
        self.backbone = None
        if backbone:
            self.backbone = backbones.load(backbone)
            names += [f"{family}@{backbone}" for family in FEATURES]
        self.metrics = [
            metrics.get(name) for name in metrics.select(names, has_map=False)
        ]

    def measure(self, photo: np.ndarray, picture: np.ndarray) -> dict[str, float]:
        """The value of each metric, by name.

        Args:
            photo, picture: uint8 [H,W,3].
        """
        return {m.name: float(m.function(photo, picture)) for m in self.metrics}

    def features(self, picture: np.ndarray) -> np.ndarray | None:
        """float32 [D] of uint8 [H,W,3]; None without backbone."""
        if self.backbone is None:
            return None
        return self.backbone.embed(picture[None])[0]
