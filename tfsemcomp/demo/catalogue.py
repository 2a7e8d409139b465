"""What the page offers: every codec, its models, its scale, or why it cannot run."""

from __future__ import annotations

import dataclasses

from tfsemcomp import api, errors
from tfsemcomp.codecs import base

_NO_MODEL = "no trained model of it is installed; docs/{name}.md tells how to make one"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A codec as the page shows it.

    Attributes:
        name: of the codec.
        summary: one line.
        models: names of its installed models, the default first; empty if it has none.
        reason: why it cannot run here; empty if it can.
    """

    name: str
    summary: str
    models: tuple[str, ...]
    reason: str

    @property
    def available(self) -> bool:
        """Whether it can run here."""
        return not self.reason


@dataclasses.dataclass(frozen=True)
class Scale:
    """The qualities of a codec with a model: from `low` to `high` by `step`."""

    low: float
    high: float
    step: float
    default: float


def entries() -> list[Entry]:
    """All codecs, those that can run first, otherwise in the order of the registry."""
    models = _models()
    found = []
    for codec in api.list_codecs():
        own = models.get(codec.name, ())
        reason = codec.reason
        if not reason and base.codec_class(codec.name).uses_model and not own:
            reason = _NO_MODEL.format(name=codec.name)
        found.append(Entry(codec.name, codec.summary, own, reason))
    return sorted(found, key=lambda entry: not entry.available)


def make(codec: str, model: str | None) -> base.Codec:
    """The codec with one of its installed models.

    Args:
        codec: its name.
        model: a name of `Entry.models`; None for the default. Paths are refused: who
            uses the page must not choose files of the machine that it runs on.
    Raises:
        ValueError: if there is no such codec, or the model is none of its own.
        SemCompError: if it cannot run here.
    """
    entry = next((entry for entry in entries() if entry.name == codec), None)
    if entry is None:
        raise ValueError(
            f"`codec` must be one of {', '.join(base.codec_names())}, received "
            f"{codec!r}"
        )
    if entry.reason:
        raise errors.UnavailableError(f"{codec} is not available: {entry.reason}")
    if not model:
        model = next(iter(entry.models), None)
    elif model not in entry.models:
        raise ValueError(
            f"`model` of {codec} must be one of {', '.join(entry.models) or 'none'}, "
            f"received {model!r}"
        )
    return base.get_codec(codec, **({"model": model} if model else {}))


def scale(codec: str, model: str | None = None) -> Scale:
    """The qualities of a codec; raises as `make`."""
    found = make(codec, model)
    return Scale(*found.quality_range, found.quality_step, found.default_quality)


def _models() -> dict[str, tuple[str, ...]]:
    """Names of the installed models by codec; none without a manifest."""
    try:
        models = api.list_models()
    except errors.SemCompError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for model in sorted(models, key=lambda model: (not model.default, model.name)):
        found[model.system] = (*found.get(model.system, ()), model.name)
    return found
