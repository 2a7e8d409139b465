"""Benchmarks of several parts, each of which can be measured alone, in one file."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging

from tfsemcomp import images
from tfsemcomp.evaluation import provenance


def check(wanted: Sequence[str], known: Sequence[str]) -> None:
    """Raises ValueError unless all parts are known."""
    unknown = set(wanted) - set(known)
    if unknown:
        raise ValueError(
            f"`parts` must be of {', '.join(known)}; received "
            f"{', '.join(sorted(unknown))}."
        )


def measure(
    path: pathlib.Path,
    wanted: Sequence[str],
    parts: Mapping[str, Callable[[], dict[str, Any]]],
) -> dict[str, Any]:
    """Measures parts, one after the other, and prints each.

    Args:
        path: JSON file; its other parts stay. Written after each part.
        wanted: parts to measure.
        parts: what measures each.
    Returns: what the file has then, with commit, versions and machine.
    Raises: ValueError as `check`.
    """
    check(wanted, list(parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    result = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    result |= {
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    for part in wanted:
        logging.info("measuring %s", part)
        result[part] = parts[part]()
        text = json.dumps(result, indent=1)
        images.write_atomic(path, text.encode("utf-8") + b"\n")
        print(json.dumps({part: result[part]}, indent=1))
    return result
