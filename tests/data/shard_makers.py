"""Elements and transforms for tests of making shards, which other processes import."""

import dataclasses
import os
import pathlib
import signal
from collections.abc import Iterator

from tfsemcomp.data import records, sharding
from tfsemcomp.errors import SemCompError

COUNT = 7


@dataclasses.dataclass(frozen=True)
class Name:
    """An element that is a name only."""

    name: str


@dataclasses.dataclass(frozen=True)
class Killer:
    """Elements at which the process dies, as if memory had run out."""

    def __iter__(self) -> Iterator[Name]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield Name("never")


@dataclasses.dataclass(frozen=True)
class NameRecords:
    """Makes a record of a name, unless it is among the broken ones."""

    broken: tuple[str, ...] = ()
    value: float = 1.0

    def __call__(self, element: Name) -> sharding.Made:
        if element.name in self.broken:
            raise SemCompError("no luck")
        record = records.Record(b"picture", element.name, 1, 1)
        return sharding.Made(records.serialize(record), {"value": self.value})


def split(folder: pathlib.Path, broken=(), **options) -> sharding.Split:
    """Seven names in three shards."""
    names = [Name(str(number)) for number in range(COUNT)]
    settings = {
        "folder": str(folder),
        "name": "train",
        "shards": 3,
        "count": COUNT,
        "elements": lambda number: names[number::3],
        "transform": NameRecords(tuple(broken)),
        "plan": {"seed": (1, 2)},
    }
    return sharding.Split(**{**settings, **options})


def files(folder: pathlib.Path) -> dict[str, bytes]:
    """The content of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
