"""Compiling loops with Numba, the same way everywhere.

Numba is imported with this module, so it and its users must be imported inside
functions only.
"""

from collections.abc import Callable
from typing import Any

import numba


def jit(**options: Any) -> Callable[[Callable], Callable]:
    """Decorates a function of loops over arrays so that Numba compiles it.

    It is compiled at the first call on a machine, and the result kept on disk. It
    releases the GIL.

    Args:
        **options: further ones of ``numba.njit``.

    Returns:
        The decorator.
    """

    def decorate(function: Callable) -> Callable:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:
            # No folder to keep the result in: compile in each process.
            return numba.njit(nogil=True, **options)(function)

    return decorate
