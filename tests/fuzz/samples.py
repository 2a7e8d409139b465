"""Small files of every codec, made with the tests' tiny models."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from tests.codecs import (
    conceptual_models,
    hyperprior_models,
    layered_models,
    rnn_models,
    semantic_models,
)
from tests.harness import smooth_image
from tfsemcomp.codecs import base

_SHAPES = ((40, 48), (33, 20))


@dataclasses.dataclass(frozen=True)
class Sample:
    """How files of a codec are made.

    Attributes:
        settings: of each of its files.
        models: makes the folder of the models; None for codecs without.
    """

    settings: tuple[dict[str, Any], ...] = ({},)
    models: Callable[[], pathlib.Path] | None = None


SAMPLES: dict[str, Sample] = {
    "hyperprior": Sample(({}, {"quality": 1}), hyperprior_models.folder),
    "rnn": Sample(({}, {"adaptive": "error", "quality": 2}), rnn_models.folder),
    "conceptual": Sample(({}, {"quality": 1}), conceptual_models.folder),
    "layered": Sample(
        (
            {"caption": "A black dog runs.", "colour": True},
            {"caption": "Schnée, naïve!", "quality": 1},
            {"send": "structure,signal"},
        ),
        layered_models.folder,
    ),
    "semantic_enhanced": Sample(
        (
            {"mode": "segment", "quality": 5},
            {"mode": "derived", "base": "webp"},
            {"mode": "corrected", "quality": 5},
        ),
        semantic_models.folder,
    ),
    "msroi_jpeg": Sample(({"map": "centre"}, {"map": "centre", "quality": 5})),
    **{
        name: Sample(({}, {"quality": 5}))
        for name in ("jpeg", "webp", "jpeg2000", "avif", "heif", "jxl")
    },
}


def files(name: str) -> list[bytes]:
    """Files of a codec: each of its settings, two sizes in turn.

    The environment must name the folder of the sample's models.
    """
    codec = base.get_codec(name)
    found = []
    for number, settings in enumerate(SAMPLES[name].settings):
        for shape in _SHAPES:
            image = smooth_image(*shape, seed=number)
            found.append(codec.compress(image, **settings))
    return found
