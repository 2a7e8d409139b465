"""The settings that codecs declare, as flags of the command."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp.codecs import base

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of the flags that were given."""
    values = {name: getattr(args, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def declared() -> dict[str, list[tuple[str, base.Setting]]]:
    """Codecs and settings by the setting's name; bytes cannot be typed."""
    flags: dict[str, list[tuple[str, base.Setting]]] = {}
    for codec in base.codec_names():
        for setting in base.codec_class(codec).settings:
            if setting.type is not bytes:
                flags.setdefault(setting.name, []).append((codec, setting))
    return flags


def add_flag(
    parser: Parser,
    group: Any,
    name: str,
    declared: Sequence[tuple[str, base.Setting]],
) -> None:
    """Adds the flag of a setting, with what each codec allows.

    Args:
        parser: takes the flag.
        group: of its help.
        name: of the setting.
        declared: the codecs that have it, with their settings.
    """
    text = declared[0][1].help
    kind = declared[0][1].type
    allowed = {codec: _allowed(setting) for codec, setting in declared}
    for words in dict.fromkeys(allowed.values()):
        codecs = ", ".join(codec for codec in allowed if allowed[codec] == words)
        text += f" [{codecs}{words}]"
    if kind is bool:
        parser.add_switch(name, group=group, help=text)
        return
    kind = str if kind is object else kind
    parser.add_flag(name, group=group, type=kind, help=text)


def _allowed(setting: base.Setting) -> str:
    """The values of a setting and its default, in words."""
    if setting.type is bool:
        return f": default, --no{setting.name} turns it off" if setting.default else ""
    words = []
    if setting.choices:
        words.append(", ".join(map(str, setting.choices)))
    elif setting.low is not None and setting.high is not None:
        words.append(f"{setting.low:g} to {setting.high:g}")
    if setting.default is not None:
        words.append(f"default {setting.default}")
    return ": " + "; ".join(words) if words else ""
