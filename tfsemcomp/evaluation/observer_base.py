"""What observers have in common: pairs of pictures in, values by column out."""

import abc
from collections.abc import Callable, Sequence

import numpy as np

from tfsemcomp.evaluation.observer_memory import Memory
from tfsemcomp.metrics import inputs


class Observer(abc.ABC):
    """Judges decoded pictures by what it recognises in them.

    Attributes:
        name: what tables call it.
        columns: all that it may give a value for, "what@name" each.

    Args:
        name: of the observer.
        values: what it gives values for.
        run: from pictures, uint8 [H,W,3] each, to what it recognises in each. Results
            of originals are remembered, so that the same original costs nothing at
            further settings.
    """

    def __init__(
        self,
        name: str,
        values: Sequence[str],
        run: Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]],
    ) -> None:
        self.name = name
        self.columns = tuple(f"{value}@{name}" for value in values)
        self._memory = Memory(run)

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
            images: their names, by which the truth about them is found.
            originals: uint8 [H,W,3] each; sizes may differ.
            decoded: uint8 [H,W,3] each, the originals' sizes.

        Returns:
            A value by column for each picture, for each column that it allows.

        Raises:
            ValueError: pictures of another type or shape.
            SemCompError: a truth that cannot be read or does not fit.
        """
        for original, picture in zip(originals, decoded, strict=True):
            inputs.check_pair(original, picture)
        before, after = self._memory.compare(originals, decoded)
        return [
            self._values(*judged) for judged in zip(images, before, after, strict=True)
        ]

    @abc.abstractmethod
    def _values(
        self, image: str, before: np.ndarray, after: np.ndarray
    ) -> dict[str, float]:
        """Values of one picture.

        Args:
            image: its name.
            before: what was recognised in the original.
            after: what was recognised in the decoded picture.
        """
