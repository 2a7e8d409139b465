"""TensorFlow and gRPC do not survive a fork, which this module turns into an error.

A forked process has none of its parent's threads, and a call that hands work to one of
them never returns. What was not used yet may be used in the child.
"""

import os

from tfsemcomp.errors import SemCompError

_state = {"started": False, "broken": False}


def start() -> None:
    """Call this before TensorFlow or gRPC is run.

    Raises: SemCompError if this process was forked from one that had run them.
    """
    if _state["broken"]:
        raise SemCompError(
            "this process was forked from one that had used TensorFlow, which cannot "
            "go on here: start processes by `spawn`, or fork before the first network "
            "is used"
        )
    _state["started"] = True


def _after_fork() -> None:
    _state["broken"] = _state["broken"] or _state["started"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
