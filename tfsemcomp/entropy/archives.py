"""Reading the npz files that lie beside models, whatever they may hold."""

import os
import zipfile

import numpy as np


def read(path: str | os.PathLike[str], limit: int) -> dict[str, np.ndarray]:
    """Unpacks a file of arrays, nothing of which is executed.

    Args:
        path: of an npz file.
        limit: bytes that it may unpack to.
    Returns: name -> array.
    Raises: ValueError if it would unpack to more; for a missing or damaged file what
        zipfile, zlib and NumPy raise.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > limit:
        raise ValueError(f"it unpacks to {size} bytes, the limit is {limit}")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
