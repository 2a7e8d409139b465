"""Files that the page hands out: the last few, in a folder gone with the server."""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import shutil
import tempfile
import threading

from tfsemcomp import images


class Shelf:
    """Puts files into a folder and forgets the oldest.

    Args:
        folder: to make the files in.
        most: files that are kept.
    """

    def __init__(self, folder: pathlib.Path, most: int = 64) -> None:
        self._folder, self._most = folder, most
        self._kept: collections.deque[str] = collections.deque()
        self._lock = threading.Lock()

    def put(self, name: str, data: bytes) -> str:
        """Writes a file of this name; returns its path, which nobody can guess.

        Raises: SemCompError if that fails.
        """
        folder = tempfile.mkdtemp(dir=self._folder)
        path = os.path.join(folder, os.path.basename(name))
        images.write_atomic(path, data)
        with self._lock:
            self._kept.append(folder)
            while len(self._kept) > self._most:
                with contextlib.suppress(OSError):
                    shutil.rmtree(self._kept.popleft())
        return path
