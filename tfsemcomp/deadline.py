"""How long the work of this thread may take, checked between its steps.

A step that runs is not interrupted: a network's call, a chunk or a library's decoder
ends first. Services that need a hard end run decoding in a process of its own.
"""

import contextlib
import contextvars
import time
from collections.abc import Iterator

from tfsemcomp.errors import LimitError

# Seconds allowed, and when they end by the clock that is never set back.
_END: contextvars.ContextVar[tuple[float, float] | None] = contextvars.ContextVar(
    "tfsemcomp_deadline", default=None
)


@contextlib.contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Everything in here, and in what it calls in this thread, ends in so many seconds.

    Args:
        seconds: > 0; None sets no end. An end that is set already stays if it is
            earlier.
    Raises: LimitError at the end if they have passed, as `check` does meanwhile.
    """
    before = _END.get()
    after = None if seconds is None else (seconds, time.monotonic() + seconds)
    if after is None or (before and before[1] <= after[1]):
        yield
        return
    token = _END.set(after)
    try:
        yield
        check()
    finally:
        _END.reset(token)


def check() -> None:
    """Raises LimitError if the time is over; call it between long steps."""
    end = _END.get()
    if end and time.monotonic() > end[1]:
        raise LimitError(
            f"this takes more than the limit of {end[0]:g} s; raise `Limits.seconds` "
            "to allow it"
        )


def left() -> float | None:
    """Seconds that remain, at least 0; None if there is no end."""
    end = _END.get()
    return None if end is None else max(0.0, end[1] - time.monotonic())
