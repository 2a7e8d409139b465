"""What `semantic_enhanced` needs of a trained model, and what it does with it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp.codecs import learned

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.entropy.context_mixing import Primed
    from tfsemcomp.serving.manifest import ModelInfo
    from tfsemcomp.serving.runner import Runner

# Of label maps: a pixel without a class.
UNLABELLED = 255
# One more number must be left for pixels without a class.
_MOST_CLASSES = 255


@dataclasses.dataclass(frozen=True)
class Model:
    """What the codec needs of a trained model.

    Attributes:
        fingerprint: of its files.
        runner: runs its signature `synthesize`.
        primed: what its coder of labels starts with; None without.
        classes: of its label maps, A.
        bases: names of the base codecs that it knows, by their numbers; the last one
            stands for all others.
        multiple: sides of padded pictures are multiples of it.
        boundaries: whether it looks at borders.
        dial: whether it has a setting between true and pleasing pictures.
    """

    fingerprint: bytes
    runner: Runner
    primed: Primed | None
    classes: int
    bases: tuple[str, ...]
    multiple: int
    boundaries: bool
    dial: bool


def _classes(value: Any) -> int:
    if not 1 <= int(value) <= _MOST_CLASSES:
        raise ValueError(value)
    return int(value)


def _bases(value: Any) -> tuple[str, ...]:
    found = tuple(str(name) for name in value)
    if not found:
        raise ValueError(value)
    return found


_CARD = {
    "classes": _classes,
    "bases": _bases,
    "multiple": int,
    "boundaries": bool,
    "dial": bool,
}


@functools.lru_cache(maxsize=8)
def load(info: ModelInfo, server: str | None = None) -> Model:
    """Makes the model of a folder; a server may run it."""
    from tfsemcomp.entropy import context_mixing
    from tfsemcomp.serving import runner

    primed = info.path / context_mixing.FILE_NAME
    return Model(
        fingerprint=info.fingerprint,
        runner=runner.shared(info, server),
        primed=context_mixing.load(primed) if primed.is_file() else None,
        **read_card(info),
    )


def read_card(info: ModelInfo) -> dict[str, Any]:
    """What a model's card says of it.

    Raises: ModelMismatchError if it says nothing of the kind.
    """
    return learned.read_card(info, "enhancer", _CARD)


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a network sees of a file.

    Attributes:
        picture: uint8 [H,W,3], of the base codec.
        codec: its name.
        rate: its bits a pixel.
        labels: uint8 [H,W], `UNLABELLED` where there is no class.
        boundaries: uint8 [H,W], 1 on a border.
    """

    picture: np.ndarray
    codec: str
    rate: float
    labels: np.ndarray
    boundaries: np.ndarray


def enhance(model: Model, seen: Sequence[Seen], perception: float = 0.0) -> np.ndarray:
    """Improves pictures of one size.

    Args:
        model: see there.
        seen: of each picture.
        perception: from 0, true to the original, to 1, pleasing; 0 of a model without
            a dial.
    Returns: uint8 [B,H,W,3].
    Raises: ValueError if a model without a dial is to turn it.
    """
    import numpy as np

    if perception and not model.dial:
        raise ValueError(
            "`perception` above 0 needs a model with a dial between true and pleasing "
            "pictures; this one has none"
        )
    pictures = np.stack([item.picture for item in seen])
    labels = np.stack([item.labels for item in seen])[..., None].astype(np.int32)
    labels[labels == UNLABELLED] = model.classes
    borders = np.stack([item.boundaries for item in seen])[..., None]
    numbers = {name: number for number, name in enumerate(model.bases)}
    other = len(model.bases) - 1
    found = model.runner.call(
        "synthesize",
        base=learned.pad(pictures, model.multiple).astype(np.float32),
        labels=learned.pad(labels, model.multiple)[..., 0],
        boundaries=learned.pad(borders, model.multiple).astype(np.float32),
        codec=np.array([numbers.get(item.codec, other) for item in seen], np.int32),
        rate=np.array([item.rate for item in seen], np.float32),
        perception=np.full(len(seen), perception, np.float32),
    )
    return learned.to_pixels(found["images"], *pictures.shape[1:3])
