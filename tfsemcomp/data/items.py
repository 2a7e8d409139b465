"""Collections of pictures before they are records: which files belong together.

Reading a layout (layouts.py) or a TFDS data set (tfds_source.py) gives a `Collection`
of `Item`s; preparation.py turns an item into a record, building.py all of them into
shards.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from tfsemcomp import images
from tfsemcomp.errors import SemCompError

# What folders of splits are called.
SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "dev", "test")

# Top, left, bottom, right of a part of a picture, as shares of its height and width.
Window = tuple[float, float, float, float]
# A map beside a picture: path of its file, or the map itself; "" for none.
Plane = str | np.ndarray


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """A picture and what is known of it, still in its own files.

    Attributes:
        image: path of the image file, or its content.
        name: path below the collection's folder, "/" between parts.
        label: class index, -1 = none.
        class_text: class name.
        captions: sentences.
        label_map: of class indexes, 8 bits; see `Plane`.
        instances: of instance numbers, 8 or 16 bits.
        edges: of lines, 255 on a line, 8 bits; or a BSDS500 .mat file.
        box: top, left, bottom and right of the object in pixels, or, where none is
            above 1, as shares of the picture's height and width; None if unknown.
        drawing: "left" or "right" if that half of the file is a drawing, black on
            white, of the picture in the other half.
    """

    image: str | bytes
    name: str
    label: int = -1
    class_text: str = ""
    captions: tuple[str, ...] = ()
    label_map: Plane = ""
    instances: Plane = ""
    edges: Plane = ""
    box: tuple[float, float, float, float] | None = None
    drawing: str = ""


class Items(Protocol):
    """The items of one split."""

    def __len__(self) -> int:
        """How many there are."""

    def part(self, number: int, parts: int, seed: int) -> Iterable[Item]:
        """Every item is in one part of `parts`, in an order that `seed` fixes.

        What is returned can be sent to another process and iterated several times.
        """

    def digest(self) -> str:
        """Tells these items from others."""


@dataclasses.dataclass(frozen=True, eq=False)
class Listed:
    """Items that are held as a list."""

    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.items)

    def part(self, number: int, parts: int, seed: int) -> list[Item]:
        """See `Items`."""
        order = np.random.default_rng(seed).permutation(len(self.items))
        return [self.items[i] for i in order[number::parts]]

    def digest(self) -> str:
        """See `Items`."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(f"{item.name}\n{item.label}\n".encode())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True, eq=False)
class Collection:
    """A data set.

    Attributes:
        name: of the layout, or of the TFDS data set with its version.
        splits: items by split.
        classes: class names in the order of the labels; empty without labels.
        map_classes: class names in the order of the label maps' indexes, if known.
        map_table: 256 bytes; the class index that takes the place of each one in the
            label map files. None keeps them.
    """

    name: str
    splits: Mapping[str, Items]
    classes: tuple[str, ...] = ()
    map_classes: tuple[str, ...] = ()
    map_table: bytes | None = None


def find_images(folder: str) -> list[str]:
    """Paths below `folder` with an image suffix, sorted, "/" between parts.

    Raises:
        SemCompError: there is none.
    """
    found = []
    for path, _, files in os.walk(folder):
        for name in files:
            if os.path.splitext(name)[1].lower() in images.KNOWN_SUFFIXES:
                relative = os.path.relpath(os.path.join(path, name), folder)
                found.append(relative.replace(os.sep, "/"))
    if not found:
        raise SemCompError(f"{folder}: no image in it or below; check `--input`.")
    return sorted(found)


def by_folder(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Splits items by the first part of their names, if all are names of splits.

    Otherwise all are split "train".
    """
    splits: dict[str, list[Item]] = {}
    for item in items:
        splits.setdefault(item.name.partition("/")[0], []).append(item)
    if set(splits) <= set(SPLIT_NAMES):
        return splits
    return {"train": [item for group in splits.values() for item in group]}


def by_lists(
    splits: Mapping[str, Sequence[Item]], lists: Sequence[str]
) -> dict[str, list[Item]]:
    """Splits items by list files, whatever their splits were.

    Args:
        splits: items by split.
        lists: `split:file` pairs. A line of a file is an item's name, with or without
            its suffix, or a folder that holds items.

    Returns: items by split, in the order of the lines. An item may be in several.
    Raises:
        ValueError: no pair.
        SemCompError: a file that is missing, or a line that names nothing.
    """
    names, folders = {}, {}
    for item in (item for group in splits.values() for item in group):
        names[item.name] = item
        names.setdefault(os.path.splitext(item.name)[0], item)
        parts = item.name.split("/")
        for depth in range(1, len(parts)):
            folders.setdefault("/".join(parts[:depth]), []).append(item)
    found: dict[str, list[Item]] = {}
    for pair in lists:
        split, colon, path = pair.partition(":")
        if not colon:
            raise ValueError(f"`--lists` takes split:file pairs; got '{pair}'.")
        for line in read_lines(path):
            group = [names[line]] if line in names else folders.get(line.rstrip("/"))
            if group is None:
                raise SemCompError(
                    f"{path}: '{line}' is neither an image of this collection nor a "
                    "folder of it; check `--lists` and `--input`."
                )
            found.setdefault(split, []).extend(group)
    return found


def by_share(items: Sequence[Item], test_share: float, seed: int) -> dict:
    """Draws a share of each folder's items for "test"; the rest is "train".

    Args:
        items: of one split.
        test_share: from 0 to 1.
        seed: fixes the draw.

    Returns: items by split.
    """
    splits: dict[str, list[Item]] = {"train": [], "test": []}
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(os.path.dirname(item.name), []).append(item)
    rng = np.random.default_rng(seed)
    for group in groups.values():
        order = rng.permutation(len(group))
        cut = round(test_share * len(group))
        splits["test"] += [group[i] for i in order[:cut]]
        splits["train"] += [group[i] for i in order[cut:]]
    return splits


def read_lines(path: str) -> list[str]:
    """The lines of a UTF-8 text file, without white space around them or empty ones.

    Raises:
        SemCompError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SemCompError(f"cannot read the list {path}: {error}.") from error
