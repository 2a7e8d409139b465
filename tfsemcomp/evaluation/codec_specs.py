"""Codecs with models, qualities and settings in one word, for lists of codecs.

NAME[:MODEL][:QUALITY...][@SETTING=VALUE...]

jpeg:5:10:20                         three qualities
webp:1:10@effort=6                   with a setting of the codec
rnn:rnn-small-machine                a model of the codec, at every quality
rnn-small-machine:1:2                the same by the model's name alone
rnn:rnn-small:2@machine_weight=0.5   all of it
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from tfsemcomp import api
from tfsemcomp.codecs import base
from tfsemcomp.evaluation import sweep
from tfsemcomp.evaluation.sweep import Job

# Ranges of fewer qualities are taken whole where none are named.
_SHORT_RANGE = 10
_SWITCHES = {"true": True, "1": True, "false": False, "0": False}


def parse(text: str) -> list[Job]:
    """The jobs of one codec.

    Args:
        text: see this module. Without qualities: all whole ones of a range shorter than
            10, else `sweep.default_qualities`.

    Raises:
        ValueError: an unknown codec, model, quality or setting, or a value of another
            type.
        SemCompError: a model that is no codec's.
    """
    head, *texts = text.split("@")
    name, *parts = head.split(":")
    model = parts.pop(0) if parts and _number(parts[0]) is None else None
    codec = api.load(name) if model is None else base.get_codec(name, model=model)
    qualities = [_number(part) for part in parts]
    if None in qualities:
        raise ValueError(
            f"`codecs` takes NAME[:MODEL][:QUALITY...][@SETTING=VALUE...]; got {text!r}"
            f", where {parts[qualities.index(None)]!r} is no number."
        )
    settings = dict(_setting(codec, part) for part in texts)
    named = {codec.name: qualities or _all_qualities(codec)}
    return sweep.plan([codec], named, {codec.name: settings})


def parse_all(texts: Sequence[str]) -> list[Job]:
    """The jobs of several codecs; see `parse`.

    Raises:
        ValueError: also if one is named twice.
    """
    return sweep.plan([job for text in texts for job in parse(text)])


def _all_qualities(codec: base.Codec) -> list[float] | None:
    low, high = codec.quality_range
    if high - low >= _SHORT_RANGE:
        return None
    return [float(quality) for quality in range(int(low), int(high) + 1)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _setting(codec: base.Codec, text: str) -> tuple[str, Any]:
    """Name and value; a name that the codec lacks is left for `plan` to refuse."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"`codecs` takes @SETTING=VALUE; got '@{text}'.")
    kinds = {setting.name: setting.type for setting in codec.settings}
    kind = kinds.get(name, str)
    if kind is bool and value.lower() in _SWITCHES:
        return name, _SWITCHES[value.lower()]
    if kind in (int, float):
        # What is no number goes on as it is: `plan` says what was expected.
        with contextlib.suppress(ValueError):
            return name, kind(value)
    return name, value
