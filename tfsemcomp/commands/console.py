"""Where the command speaks: one result on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from tfsemcomp import errors


class UsageError(Exception):
    """The arguments are wrong; the message says which."""


class Console:
    """Prints for people, or one JSON object for programs.

    Args:
        as_json: whether stdout gets JSON.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout = sys.stdout

    def note(self, text: str) -> None:
        """Tells what the user should know but need not act upon."""
        self._say("note", text)

    def failure(self, text: str) -> None:
        """Tells what went wrong, in one line."""
        self._say("error", text)

    def result(self, facts: dict[str, Any], text: str) -> None:
        """Prints the result; called once a command.

        Args:
            facts: for JSON.
            text: for people.
        """
        if self.as_json:
            text = json.dumps(_plain(facts), allow_nan=False)
        if text:
            print(text, file=self._stdout, flush=True)

    def _say(self, kind: str, text: str) -> None:
        print(f"{kind}: {one_line(text)}", file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """The same without line breaks, other blanks as they were."""
    return " ".join(text.splitlines())


def explain(error: BaseException) -> tuple[int, str]:
    """The exit status and the message for an error."""
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, (UsageError, ValueError)):
        return 2, str(error)
    if isinstance(error, errors.SemCompError):
        return 1, str(error)
    if isinstance(error, MemoryError):
        return 1, "not enough memory"
    what = f"{type(error).__name__}: {one_line(str(error))}"
    return 1, (
        f"unexpected {what}; this is a fault of tfsemcomp, --verbose shows where"
    )


def describe_error(error: BaseException) -> dict[str, str]:
    """An error as JSON has it."""
    return {"type": type(error).__name__, "message": explain(error)[1]}


def _plain(value: Any) -> Any:
    """`value` in the types of JSON; what JSON cannot hold, such as inf, as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and abs(value) == float("inf"):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
