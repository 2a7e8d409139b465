"""Which class each picture belongs to: what accuracy is measured against."""

import os
import pathlib
from collections.abc import Mapping, Sequence

from absl import logging

from tfsemcomp.errors import SemCompError

Label = int | str
LabelSource = str | os.PathLike[str] | Mapping[str, Label]


class Labels:
    """Classes of pictures by name.

    A picture is found by its whole name or by the end of it: "cat/1.jpg" finds what a
    list calls "images/cat/1.jpg", and the other way round. Tables call pictures by the
    part of the path that tells them apart, lists by the path below some folder.

    Args:
        classes: class index or class name by picture.
        source: where they come from, for messages.
    """

    def __init__(self, classes: Mapping[str, Label], source: str = "labels") -> None:
        self.source = source
        self._exact = dict(classes)
        self._by_file: dict[str, list[tuple[str, Label]]] = {}
        for path, label in classes.items():
            file = path.rsplit("/", 1)[-1]
            self._by_file.setdefault(file, []).append((path, label))

    def __len__(self) -> int:
        return len(self._exact)

    def find(self, image: str) -> Label | None:
        """The class of a picture; None if there is none.

        Raises:
            SemCompError: several fit and their classes differ.
        """
        if image in self._exact:
            return self._exact[image]
        found = {
            label
            for path, label in self._by_file.get(image.rsplit("/", 1)[-1], ())
            if f"/{path}".endswith(f"/{image}") or f"/{image}".endswith(f"/{path}")
        }
        if len(found) > 1:
            raise SemCompError(
                f"{self.source}: `{image}` fits pictures of the classes "
                f"{', '.join(sorted(map(str, found)))}; name it by a longer path."
            )
        return found.pop() if found else None

    def names(self) -> set[str]:
        """The class names that occur; indexes are not among them."""
        return {label for label in self._exact.values() if isinstance(label, str)}

    def of_classes(self, classes: Sequence[str], count: int) -> "Labels | None":
        """The same with class indexes in place of class names.

        Args:
            classes: class names in the order of their indexes; empty if unknown.
            count: number of classes.

        Returns:
            None, and a warning in the log, if not one name is among `classes`: the
            labels are then about other classes than the observer's.

        Raises:
            ValueError: only some names are, or an index is not below `count`.
        """
        names = self.names()
        if names and not names & set(classes):
            logging.warning(
                "%s: no class of it (%s, ...) is one of the observer's: accuracies are "
                "left out",
                self.source,
                min(names),
            )
            return None
        index = {name: number for number, name in enumerate(classes)}
        indexes = {}
        for path, label in self._exact.items():
            number = index.get(label) if isinstance(label, str) else label
            if number is None or not 0 <= number < count:
                raise ValueError(
                    f"`labels`: {self.source} gives {path} the class {label!r}, which "
                    f"is none of the observer's {count} classes."
                )
            indexes[path] = number
        return Labels(indexes, self.source)


def read_list(path: str | os.PathLike[str]) -> dict[str, Label]:
    """Reads a list of labelled pictures, a line each.

    A line is `path<TAB>class`, digits being a class index and all else a class name, or
    a path alone, whose class is the name of the folder that holds the file. Empty lines
    do not count.

    Returns:
        Class by path, in the order of the list.

    Raises:
        SemCompError: the file cannot be read, holds nothing, names a picture twice, or
            a line gives no class.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SemCompError(f"cannot read the list {path}: {error}.") from error
    classes: dict[str, Label] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, tab, label = line.strip().partition("\t")
        if tab and label.strip().isdecimal():
            label = int(label)
        elif not tab:
            label = pathlib.PurePosixPath(name).parent.name
        if label == "":
            raise SemCompError(
                f"{path}: line {number} gives no class; write path<TAB>class, or a "
                "path with the class as its folder."
            )
        if name in classes:
            raise SemCompError(f"{path}: line {number} names {name} again.")
        classes[name] = label
    if not classes:
        raise SemCompError(f"{path}: an empty list.")
    return classes


def resolve(
    labels: LabelSource | None,
) -> Labels | None:
    """Labels from whatever `observers.load` takes.

    Raises:
        SemCompError: as `read_list`.
    """
    if labels is None:
        return None
    if isinstance(labels, Mapping):
        return Labels(labels)
    return Labels(read_list(labels), str(labels))
