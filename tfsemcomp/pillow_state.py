"""Changes to Pillow's process-wide state that concurrent image loads share.

Pillow's pixel limit and Python's warning filters belong to the process. The first load
that needs a change makes it, the last one takes it back, and other code that uses
Pillow finds everything as it was.
"""

import contextlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator

from PIL import Image


class SharedChange:
    """A change of global state that holds while at least one user is inside.

    Args:
        make: makes the change and returns the function that takes it back.
    """

    def __init__(self, make: Callable[[], Callable[[], None]]) -> None:
        self._make = make
        self._take_back: Callable[[], None] | None = None
        self._users = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """The change holds inside the `with` block, in all threads."""
        with self._lock:
            if self._take_back is None:
                self._take_back = self._make()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._take_back, take_back = None, self._take_back
                    take_back()


def _silence() -> Callable[[], None]:
    filters = warnings.catch_warnings()
    filters.__enter__()
    warnings.filterwarnings("ignore", module=r"PIL\.|pillow_")
    # The one plug-in that logs at a visible level.
    logger = logging.getLogger("PIL.TiffImagePlugin")
    logger.addFilter(_refuse)

    def take_back() -> None:
        logger.removeFilter(_refuse)
        filters.__exit__(None, None, None)

    return take_back


def _refuse(_record: logging.LogRecord) -> bool:
    return False


def _lift() -> Callable[[], None]:
    limit = Image.MAX_IMAGE_PIXELS

    def take_back() -> None:
        Image.MAX_IMAGE_PIXELS = limit

    Image.MAX_IMAGE_PIXELS = None
    return take_back


# Pillow neither warns nor logs about what is raised or noted by `images`.
quiet = SharedChange(_silence)
_without_limit = SharedChange(_lift)


def allowing(size: tuple[int, int]) -> contextlib.AbstractContextManager[None]:
    """Inside, Pillow takes images of this size, which `Limits` have allowed.

    Its own limit stays in force unless it is in the way, which takes an image of some
    90 million pixels.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or size[0] * size[1] <= limit:
        return contextlib.nullcontext()
    return _without_limit()
