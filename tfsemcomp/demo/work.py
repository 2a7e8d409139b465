"""Work for many at once: a few threads, and an end to waiting."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from tfsemcomp import errors

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


class Work:
    """Runs functions in a fixed number of threads.

    Who waits longer than `seconds` is told so. Python cannot stop a thread, so what
    runs then ends in its own time and keeps its thread until it does: however many
    ask, no more than `workers` answers are made at a time.

    Args:
        workers: threads, at least 1.
        seconds: that one may wait for an answer.
    """

    def __init__(self, workers: int, seconds: float) -> None:
        self._seconds = seconds
        self._pool = concurrent.futures.ThreadPoolExecutor(workers, "demo")

    def run(
        self,
        function: Callable[_Given, _Made],
        *args: _Given.args,
        **keywords: _Given.kwargs,
    ) -> _Made:
        """What the function returns, or raises.

        Raises: LimitError if it takes too long.
        """
        future = self._pool.submit(function, *args, **keywords)
        done, _ = concurrent.futures.wait([future], self._seconds)
        if not done:
            future.cancel()
            raise errors.LimitError(
                f"this takes longer than {self._seconds:g} s; try a smaller photo, "
                "another codec, or again when fewer people ask"
            )
        return future.result()

    def close(self, *_: Any) -> None:
        """Takes no more work; waits for none."""
        self._pool.shutdown(wait=False, cancel_futures=True)
