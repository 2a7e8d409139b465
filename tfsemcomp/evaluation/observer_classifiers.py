"""Observers that classify: is the picture still recognised after compression?"""

from collections.abc import Sequence

import numpy as np

from tfsemcomp.evaluation import observer_preprocessing as preprocessing
from tfsemcomp.evaluation.observer_labels import Labels
from tfsemcomp.evaluation.observer_memory import Memory
from tfsemcomp.evaluation.observer_networks import Network
from tfsemcomp.metrics import recognition

_BATCH = 32


class Classifier:
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
    """

    def __init__(
        self,
        network: Network,
        labels: Labels | None = None,
        crop: str = "centre",
    ) -> None:
        self.name = network.name
        self._network, self._labels, self._crop = network, labels, crop
        known = []
        if labels is not None:
            known = ["top1"]
            known += ["top5"] if network.width > 5 else []
        self.columns = tuple(
            f"{column}@{self.name}" for column in (*known, "preserved", "confidence")
        )
        self._memory = Memory(self.classify)

    def observe(
        self, image: str, original: np.ndarray, decoded: np.ndarray
    ) -> dict[str, float]:
        """Judges one decoded picture; see `observe_batch`."""
        return self.observe_batch([image], [original], [decoded])[0]

    def observe_batch(
        self,
        images: Sequence[str],
        originals: Sequence[np.ndarray],
        decoded: Sequence[np.ndarray],
    ) -> list[dict[str, float]]:
        """Judges decoded pictures.

        Args:
            images: their names, by which labels are found.
            originals: uint8 [H,W,3] each; remembered, so that the same original costs
                nothing at further settings.
            decoded: uint8 [H,W,3] each.

        Returns:
            Values by column for each picture; one without a label has no `top1` and
            `top5`.

        Raises:
            ValueError: pictures of another type or shape.
        """
        before, after = self._memory.compare(originals, decoded)
        return [
            self._values(*judged) for judged in zip(images, before, after, strict=True)
        ]

    def classify(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Class shares of pictures, uint8 [H,W,3] each -> float32 [B,classes]."""
        prepare = preprocessing.prepare
        ready = [prepare(p, self._network.side, self._crop) for p in pictures]
        starts = range(0, len(ready), _BATCH)
        shares = [self._network.run(np.stack(ready[s : s + _BATCH])) for s in starts]
        return np.concatenate(shares)

    def accuracy(self, image: str, shares: np.ndarray) -> dict[str, float]:
        """`top1` and `top5` of one picture; nothing if it has no label.

        Args:
            image: its name.
            shares: float [classes].
        """
        label = self._labels.find(image) if self._labels is not None else None
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
            **self.accuracy(image, after),
            f"preserved@{self.name}": float(after.argmax() == seen),
            f"confidence@{self.name}": float(after[seen]) - float(before[seen]),
        }
