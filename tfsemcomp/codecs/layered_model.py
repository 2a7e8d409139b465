"""What `layered` needs of a trained model, from the files of its folder."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import errors
from tfsemcomp.codecs import conceptual_structure, latents, learned

if TYPE_CHECKING:
    from tfsemcomp.entropy.context_mixing import Primed
    from tfsemcomp.entropy.tables import Tables
    from tfsemcomp.entropy.text import TextModel
    from tfsemcomp.semantics.vocabulary import Vocabulary
    from tfsemcomp.serving.manifest import ModelInfo
    from tfsemcomp.serving.runner import Runner

# The paper's lambda -> the weight of 255^2 MSE in bits a pixel, as cards count it.
PRESETS = {preset: 20 * 2**preset / 255**2 for preset in (1, 3, 6, 9)}
# A preset stands for the nearest of the model's weights within this factor.
_NEAR = 2.0


@dataclasses.dataclass(frozen=True)
class Model:
    """What the codec needs of a trained model.

    Attributes:
        fingerprint: of its files.
        runner: runs its signatures.
        tables: of `y` and `z`.
        primed: what its coder of lines starts with; None without.
        vocabulary: the words that its networks know.
        text_model: tables of its captions.
        resolution: side of the pictures that it paints from text.
        noise: numbers that it paints them with, besides.
        words: of a caption that its networks take.
        lmbdas: weights of the signal's error, rising; one for each quality.
        multiple: sides of padded pictures are multiples of it.
        structure: the method of the lines that it was trained for, and its options.
        text_seed: whether texts come with a seed.
        server: where its networks and those of lines run; None for here.
        stride, hyper_stride, channels, hyper_channels: see `latents.Model`.
    """

    fingerprint: bytes
    runner: Runner
    tables: dict[str, Tables]
    primed: Primed | None
    vocabulary: Vocabulary
    text_model: TextModel
    resolution: int
    noise: int
    words: int
    lmbdas: tuple[float, ...]
    multiple: int
    structure: Mapping[str, Any]
    text_seed: bool
    server: str | None
    stride: int
    hyper_stride: int
    channels: int
    hyper_channels: int

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of y for a picture, after padding."""
        rows, columns = (
            -(-s // self.multiple) * self.multiple for s in (height, width)
        )
        return rows // self.stride, columns // self.stride


def _lmbdas(value: Any) -> tuple[float, ...]:
    found = tuple(float(number) for number in value)
    if not 0 < len(found) <= 256 or list(found) != sorted(set(found)):
        raise ValueError(value)
    return found


def _latents(value: Any) -> dict[str, int]:
    return {name: kind(value[name]) for name, kind in latents.CARD.items()}


_CARD = {
    "resolution": int,
    "noise": int,
    "words": int,
    "lmbdas": _lmbdas,
    "multiple": int,
    "structure": conceptual_structure.read_card,
    "text_seed": bool,
    "latents": _latents,
}


@functools.lru_cache(maxsize=8)
def load(info: ModelInfo, server: str | None = None) -> Model:
    """Makes the model of a folder; a server may run it."""
    from tfsemcomp.entropy import context_mixing, tables, text
    from tfsemcomp.semantics import vocabulary
    from tfsemcomp.serving import runner

    facts = learned.read_card(info, "layered", _CARD)
    primed = info.path / context_mixing.FILE_NAME
    return Model(
        fingerprint=info.fingerprint,
        runner=runner.shared(info, server),
        tables=tables.load(info.path / tables.FILE_NAME),
        primed=context_mixing.load(primed) if primed.is_file() else None,
        vocabulary=vocabulary.load(info.path / vocabulary.FILE_NAME),
        text_model=text.load(info.path / text.FILE_NAME),
        server=server,
        **facts.pop("latents"),
        **facts,
    )


def count_qualities(info: ModelInfo) -> int:
    """How many weights of the signal's error a model's card tells."""
    return len(learned.read_card(info, "layered", _CARD)["lmbdas"])


def quality_of(preset: int, lmbdas: Sequence[float]) -> int:
    """The quality whose weight is nearest to that of a lambda of the paper.

    Args:
        preset: 1, 3, 6 or 9.
        lmbdas: of the model.
    Raises: SemCompError if none is within a factor of two.
    """
    wanted = PRESETS[preset]
    factors = [max(lmbda / wanted, wanted / lmbda) for lmbda in lmbdas]
    best = min(factors)
    if best > _NEAR:
        raise errors.SemCompError(
            f"the model has no quality near lambda {preset}, which stands for "
            f"{wanted:.2g}: it has {', '.join(f'{lmbda:.2g}' for lmbda in lmbdas)}; "
            "ask for a quality"
        )
    return 1 + factors.index(best)
