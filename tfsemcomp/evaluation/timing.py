"""How long things take, so that what is compared sees the same machine."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def seconds(works: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each work, run in turns after one run that does not count.

    Args:
        works: what to run, by name.
        repeats: runs that count, at least 1.
    Raises: ValueError if `repeats` is less.
    """
    if repeats < 1:
        raise ValueError(f"`repeats` must be at least 1; got {repeats}.")
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            spent[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in spent.items()}
