"""Finding pictures that are in two splits: by a perceptual hash, then by looking.

Scaling, recompression and small changes of colour leave both much as they are;
mirroring and cropping do not.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

# Bits of 64 that may differ, and the mean difference of thumbnails in grey levels.
# Rescaled and recompressed copies stay below both; different photos differ in a third
# of the bits and by tens of levels.
MAX_BITS = 6
MAX_DIFFERENCE = 6.0
_SIDE = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Prints:
    """Fingerprints of the pictures of a split.

    Attributes:
        names: of the pictures.
        hashes: uint64 [n].
        thumbnails: grey, uint8 [n,256].
    """

    names: tuple[str, ...]
    hashes: np.ndarray
    thumbnails: np.ndarray


@dataclasses.dataclass(frozen=True)
class Leak:
    """Two splits hold what seems to be one picture.

    Attributes:
        first, second: split and name of the pictures.
        bits: of their hashes that differ.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    bits: int

    def __str__(self) -> str:
        first, second = ("/".join(place) for place in (self.first, self.second))
        return (
            f"{first} and {second} seem to be one picture: {self.bits} of 64 bits "
            "of their hashes differ"
        )


def fingerprint(pixels: np.ndarray) -> tuple[int, np.ndarray]:
    """Hash and thumbnail of a picture, uint8 [H,W,3].

    Returns: 64 bits, whether grey rises from a cell to its right neighbour in 8 rows of
        9 cells (difference hash); and uint8 [256], 16x16 cells of grey.
    """
    grey = Image.fromarray(pixels).convert("L")
    cells = np.asarray(grey.resize((9, 8), Image.Resampling.BOX)).astype(int)
    rises = (np.diff(cells, axis=1) > 0).ravel()
    thumbnail = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX)).ravel()
    return int.from_bytes(np.packbits(rises).tobytes(), "big"), thumbnail


def prints_of(pictures: Iterable[tuple[str, np.ndarray]]) -> Prints:
    """Fingerprints of (name, pixels) pairs, streamed."""
    return gather([(name, *fingerprint(pixels)) for name, pixels in pictures])


def gather(prints: Sequence[tuple[str, int, np.ndarray]]) -> Prints:
    """Fingerprints of name, hash and thumbnail, one after the other."""
    names, hashes, thumbnails = zip(*prints, strict=True) if prints else ((),) * 3
    return Prints(
        names,
        np.array(hashes, np.uint64),
        np.array(thumbnails, np.uint8).reshape(len(names), _SIDE * _SIDE),
    )


def leaks(
    splits: Mapping[str, Prints],
    max_bits: int = MAX_BITS,
    max_difference: float = MAX_DIFFERENCE,
) -> list[Leak]:
    """Pairs of pictures of different splits that seem to be one.

    Args:
        splits: fingerprints by split.
        max_bits: of the hashes that may differ.
        max_difference: mean one of the thumbnails, grey levels.
    """
    from tfsemcomp.data import similarity_kernels

    found = []
    names = list(splits)
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            one, two = splits[first], splits[second]
            pairs = similarity_kernels.near_pairs(
                *(one.hashes, one.thumbnails, two.hashes, two.thumbnails),
                max_bits,
                max_difference,
            )
            found += [
                Leak((first, one.names[i]), (second, two.names[j]), bits)
                for i, j, bits in pairs
            ]
    return found
