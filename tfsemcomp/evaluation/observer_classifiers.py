"""Observers that classify: is the picture still recognised after compression?"""

from collections.abc import Sequence

import numpy as np

from tfsemcomp.evaluation import observer_preprocessing as preprocessing
from tfsemcomp.evaluation.observer_base import Observer
from tfsemcomp.evaluation.observer_labels import Labels
from tfsemcomp.evaluation.observer_networks import Network
from tfsemcomp.metrics import recognition

_BATCH = 32


class Classifier(Observer):
    """Classifies originals and decoded pictures.

    Columns, each followed by "@" and the observer's name:

    | column | value of one picture |
    |---|---|
    | `top1`, `top5` | 1 if its own class is the best, one of the five best; else 0 |
    | `preserved` | 1 if the decoded picture gets the original's class, else 0 |
    | `confidence` | share of that class after, less its share before, in [-1, 1] |

    `top1` and `top5` need labels, `top5` also more than five classes. Means over
    pictures are the accuracies and the preserved accuracy.

    Args:
        network: gives class shares.
        labels: class index by picture; None without any.
        crop: of `observer_preprocessing.prepare`.
        classes: their names in the order of their indexes; empty if unknown.
    """

    def __init__(
        self,
        network: Network,
        labels: Labels | None = None,
        crop: str = "centre",
        classes: Sequence[str] = (),
    ) -> None:
        known = []
        if labels is not None:
            known = ["top1"]
            known += ["top5"] if network.width > 5 else []
        super().__init__(
            network.name, (*known, "preserved", "confidence"), self.classify
        )
        self.classes = tuple(classes)
        self._network, self._labels, self._crop = network, labels, crop

    def classify(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Class shares of pictures, uint8 [H,W,3] each -> float32 [B,classes]."""
        prepare = preprocessing.prepare
        ready = [prepare(p, self._network.side, self._crop) for p in pictures]
        starts = range(0, len(ready), _BATCH)
        shares = [self._network.run(np.stack(ready[s : s + _BATCH])) for s in starts]
        return np.concatenate(shares)

    def label(self, image: str) -> int | None:
        """Class index of a picture by its name; None if none is known.

        Raises:
            SemCompError: labels of several classes fit the name.
        """
        return None if self._labels is None else self._labels.find(image)

    def _accuracy(self, image: str, shares: np.ndarray) -> dict[str, float]:
        """`top1` and `top5` of one picture; nothing if it has no label."""
        label = self.label(image)
        if label is None:
            return {}
        hits = {}
        for k in (1, 5):
            column = f"top{k}@{self.name}"
            if column in self.columns:
                hits[column] = recognition.top_k(shares[None], np.array([label]), k)
        return hits

    def _values(
        self, image: str, before: np.ndarray, after: np.ndarray
    ) -> dict[str, float]:
        seen = int(before.argmax())
        return {
            **self._accuracy(image, after),
            f"preserved@{self.name}": float(after.argmax() == seen),
            f"confidence@{self.name}": float(after[seen]) - float(before[seen]),
        }
