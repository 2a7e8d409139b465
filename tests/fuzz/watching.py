"""How much time and memory a call takes."""

import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

# Linux: writing this lets the highest memory be counted anew (proc(5), clear_refs).
_RESET = "5"
_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of a call.

    Attributes:
        seconds: of processor time, all threads together, so that other work on the
            machine does not count.
        peak_bytes: highest resident memory of the process meanwhile; 0 where the
            system does not tell.
    """

    seconds: float
    peak_bytes: int


def watch(call: Callable[[], Any]) -> tuple[Any, Exception | None, Cost]:
    """Runs a call.

    Returns: its result or None, what it raised or None, and what it took.
    """
    result, error = None, None
    _reset_peak()
    start = time.process_time()
    try:
        result = call()
    except Exception as raised:  # noqa: BLE001  The caller judges what it is.
        error = raised
    return result, error, Cost(time.process_time() - start, _peak_bytes())


def _reset_peak() -> None:
    if _CLEAR.exists():
        _CLEAR.write_text(_RESET, encoding="ascii")


def _peak_bytes() -> int:
    if not _STATUS.exists():
        return 0
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 0
