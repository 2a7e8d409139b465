"""External programs that code pictures: run without a shell, and stopped in time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from tfsemcomp import errors


def run(
    name: str, arguments: Sequence[str], timeout: float, install: str
) -> str | None:
    """Runs a program of PATH to its end.

    Args:
        name: of the program.
        arguments: handed over as they are.
        timeout: in seconds.
        install: how to get the program, for the message.
    Returns: None, or why it failed, in a line.
    Raises:
        UnavailableError: if the program is missing or cannot be run.
        SemCompError: if it took longer.
    """
    program = shutil.which(name)
    if program is None:
        raise errors.UnavailableError(f"{name} not found; {install}")
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise errors.SemCompError(
            f"{name} took more than {timeout:g} s and was stopped"
        ) from None
    except OSError as error:
        raise errors.UnavailableError(
            f"{program} cannot be run: {error.strerror or error}; {install}"
        ) from error
    if done.returncode == 0:
        return None
    said = (done.stderr or done.stdout).decode("utf-8", "replace").split()
    return " ".join(said)[:160] or f"exit status {done.returncode}"
