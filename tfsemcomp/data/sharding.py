"""From elements to sharded records: in parts, resumable, with dead letters.

A shard is made by one call from one part of a split, element by element, so that memory
does not grow with the collection. What it holds depends on nothing but the elements
and the transform: parts may be made in any order, in any process and more than once.
Files of a split in the making:

| file | content |
|---|---|
| .SPLIT.plan | what the shards are made of; a run with other settings is refused |
| .SHARD.part | written after the shard: how many records, and what was left out |
| .SHARD.failed | why a shard was not made, where it was tried on another machine |

When all parts are there they become the index (records.py) and, if anything was left
out, `SPLIT.dead_letters.jsonl` with a line {"shard", "key", "reason"} for each element.
A run that was killed makes only the parts that are missing.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from tfsemcomp.data import framing, records
from tfsemcomp.errors import BitstreamError, SemCompError

# The entry of an index that tells what the split was made of.
PLAN = "plan"


@dataclasses.dataclass(frozen=True)
class Made:
    """A record, ready to be written.

    Attributes:
        serialized: as `records.serialize` gives it.
        values: whose means over the split the index tells, by name.
    """

    serialized: bytes
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Damaged:
    """Stands in a stream of elements for one that cannot be read.

    Attributes:
        name: what dead letters call it.
        reason: what is wrong.
    """

    name: str
    reason: str


# Makes the record of an element; SemCompError where it cannot.
Transform = Callable[[Any], Made]


@dataclasses.dataclass(frozen=True)
class Part:
    """One shard to be made; it can be sent to another process or machine.

    Attributes:
        folder: of the split.
        split: its name.
        number: of the shard in its split.
        shards: of the split.
        elements: that it is made of, each with a `name`; `Damaged` ones fail.
        transform: makes their records.
        skip_broken: elements that fail become dead letters; otherwise the first one
            ends the run.
    """

    folder: str
    split: str
    number: int
    shards: int
    elements: Iterable[Any]
    transform: Transform
    skip_broken: bool

    @property
    def shard(self) -> str:
        """File name of the shard."""
        return records.shard_name(self.split, self.number, self.shards)


@dataclasses.dataclass(frozen=True)
class Split:
    """A split to be made.

    Attributes:
        folder: local or ``tf.io.gfile`` folder for the shards; made when missing.
        name: of the split.
        shards: how many.
        count: elements in all of them.
        elements: those of a shard, by its number; see `Part`.
        transform: makes their records.
        plan: all that decides what the shards hold, in JSON types.
        entry: of the index that keeps the plan.
        further: entries of the index besides, in JSON types.
        classes: class names in the order of the labels.
        skip_broken: see `Part`.
    """

    folder: str
    name: str
    shards: int
    count: int
    elements: Callable[[int], Iterable[Any]]
    transform: Transform
    plan: Mapping[str, Any]
    entry: str = PLAN
    further: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    classes: Sequence[str] = ()
    skip_broken: bool = False

    def part(self, number: int) -> Part:
        """One of the shards."""
        return Part(
            folder=self.folder,
            split=self.name,
            number=number,
            shards=self.shards,
            elements=self.elements(number),
            transform=self.transform,
            skip_broken=self.skip_broken,
        )


# Makes all parts, in any order.
Runner = Callable[[Sequence[Part]], None]


def run_here(parts: Sequence[Part]) -> None:
    """Makes all parts in this process."""
    for part in parts:
        make_part(part)


def make(splits: Sequence[Split], run: Runner = run_here) -> dict[str, dict]:
    """Makes what is not there yet of some splits.

    Args:
        splits: of different names.
        run: makes parts; its processes, if any, need no order.

    Returns: the index of each split by its name.
    Raises:
        SemCompError: an element that fails, without `skip_broken`; a split of which all
            do; or records of another plan in the folder.
    """
    missing: list[Part] = []
    for split in splits:
        tf.io.gfile.makedirs(split.folder)
        if _is_finished(split):
            logging.info("split %s is there already", split.name)
            continue
        _claim(split)
        for number in range(split.shards):
            if _read_note(split, number) is None:
                part = split.part(number)
                _remove(_hidden(part.folder, part.shard, "failed"))
                missing.append(part)
    run(missing)
    return {split.name: _finish(split) for split in splits}


def make_part(part: Part) -> dict[str, Any]:
    """Makes one shard and the note that it is whole.

    Returns: the note: `records`, how many there are, and `dead_letters`.
    Raises:
        SemCompError: an element that fails, without `skip_broken`.
    """
    letters: list[dict[str, str]] = []
    sums: dict[str, float] = {}
    path = tf.io.gfile.join(part.folder, part.shard)
    count = records.write_shard(path, _serialized(part, letters, sums))
    note = {"records": count, "dead_letters": letters, "sums": sums}
    records.write_json(_hidden(part.folder, part.shard, "part"), note)
    return note


def try_part(part: Part) -> dict[str, Any] | None:
    """Does what `make_part` does where nobody is there to catch its errors.

    Returns: the note; None if the shard cannot be made. `make` then raises the reason.
    """
    try:
        return make_part(part)
    except SemCompError as error:
        path = _hidden(part.folder, part.shard, "failed")
        records.write_json(path, {"reason": str(error)})
        return None


def read_dead_letters(folder: str, split: str) -> list[dict[str, str]]:
    """What was left out of a split: `shard`, `key` and `reason` of each element."""
    path = _dead_letters_path(folder, split)
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        return [json.loads(line) for line in file.read().splitlines()]


@dataclasses.dataclass(frozen=True)
class RecordShard:
    """The records of a shard as elements; checksums are verified, damage is one too.

    Attributes:
        path: of the shard.
        count: records that it holds, as its index tells.
        unique: whether a record is damaged whose name an earlier one has.
    """

    path: str
    count: int
    unique: bool = False

    def __iter__(self) -> Iterator[records.Record | Damaged]:
        read, names = 0, set()
        for frame in self._frames():
            element = self._element(frame, read)
            if self.unique and element.name in names:
                reason = f"{self.path}: two records have this name."
                element = Damaged(element.name, reason)
            names.add(element.name)
            yield element
            read += 1
        for number in range(read, self.count):
            yield Damaged(f"record {number}", f"{self.path} ends before it.")

    def payloads(self) -> Iterator[bytes]:
        """The records as they are stored.

        Raises:
            BitstreamError: one that is damaged or missing, named.
        """
        read = 0
        for frame in self._frames():
            if frame.payload is None:
                raise BitstreamError(
                    f"{self.path}, offset {frame.offset}: {frame.damage}; make the "
                    "split again."
                )
            yield frame.payload
            read += 1
        if read < self.count:
            raise BitstreamError(
                f"{self.path}: holds {read} records, its index says {self.count}; make "
                "the split again."
            )

    def _frames(self) -> Iterator[framing.Frame]:
        if not tf.io.gfile.exists(self.path):
            raise BitstreamError(
                f"{self.path}: shard is missing; make the split again."
            )
        for number, frame in enumerate(framing.frames(self.path)):
            if number == self.count:
                raise BitstreamError(
                    f"{self.path}: holds more records than the {self.count} that its "
                    "index says; make the split again."
                )
            yield frame

    def _element(self, frame: framing.Frame, number: int) -> records.Record | Damaged:
        place = f"{self.path}, offset {frame.offset}"
        if frame.payload is None:
            return Damaged(f"record {number}", f"{place}: {frame.damage}.")
        try:
            return records.deserialize(frame.payload)
        except BitstreamError as error:
            return Damaged(f"record {number}", f"{place}: {error}")


def record_shard(
    folder: str, index: Mapping[str, Any], number: int, *, unique: bool = False
) -> RecordShard:
    """A shard of a split, given its folder and index."""
    shard = index["shards"][number]
    path = tf.io.gfile.join(folder, shard["file"])
    return RecordShard(path, shard["records"], unique)


def checksums(index: Mapping[str, Any]) -> list[str]:
    """What tells a split from all others, in plans: SHA-256 of each shard."""
    return [shard["sha256"] for shard in index["shards"]]


def _serialized(
    part: Part, letters: list[dict[str, str]], sums: dict[str, float]
) -> Iterator[bytes]:
    for element in part.elements:
        try:
            if isinstance(element, Damaged):
                raise BitstreamError(element.reason)
            made = part.transform(element)
        except SemCompError as error:
            if not part.skip_broken:
                raise type(error)(
                    f"{element.name}: {error} (`--skip_broken` leaves such pictures "
                    "out)"
                ) from error
            logging.warning("left out: %s: %s", element.name, error)
            letter = {"shard": part.shard, "key": element.name, "reason": str(error)}
            letters.append(letter)
            continue
        for name, value in made.values.items():
            sums[name] = sums.get(name, 0.0) + value
        yield made.serialized


def _is_finished(split: Split) -> bool:
    if not tf.io.gfile.exists(records.index_path(split.folder, split.name)):
        return False
    index = records.read_index(split.folder, split.name)
    _check_plan(split, index.get(split.entry, {}))
    left_out = index.get("dead_letters", 0)
    if left_out and not split.skip_broken:
        raise SemCompError(
            f"{split.folder}: split {split.name} lacks {left_out} pictures that "
            "`--skip_broken` left out; give it again, or remove the split's files."
        )
    return True


def _claim(split: Split) -> None:
    path = _hidden(split.folder, split.name, "plan")
    found = records.read_json(path)
    if found is not None:
        _check_plan(split, found)
    records.write_json(path, dict(split.plan))


def _check_plan(split: Split, found: Mapping[str, Any]) -> None:
    # What is written is compared with what was read: JSON has no tuples.
    plan = json.loads(json.dumps(split.plan))
    other = [name for name in plan if found.get(name) != plan[name]]
    if other:
        raise SemCompError(
            f"{split.folder}: split {split.name} was made with another "
            f"{' and '.join(other)}; remove its files or choose another folder."
        )


def _finish(split: Split) -> dict:
    if not _is_finished(split):
        _write_index(split)
    # Notes, and what a killed process was writing.
    shards = {
        records.shard_name(split.name, number, split.shards)
        for number in range(split.shards)
    }
    for name in tf.io.gfile.listdir(split.folder):
        shard, suffix, _ = name[1:].partition(".tfrecord")
        if name.startswith(".") and shard + suffix in shards:
            _remove(tf.io.gfile.join(split.folder, name))
    _remove(_hidden(split.folder, split.name, "plan"))
    return records.read_index(split.folder, split.name)


def _write_index(split: Split) -> None:
    notes = [_read_note(split, number) for number in range(split.shards)]
    if None in notes:
        raise SemCompError(_failure(split, notes.index(None)))
    counts = [note["records"] for note in notes]
    letters = [letter for note in notes for letter in note["dead_letters"]]
    if sum(counts) + len(letters) != split.count:
        raise SemCompError(
            f"{split.folder}: split {split.name} has {split.count} pictures, but "
            f"{sum(counts)} records and {len(letters)} dead letters were made; remove "
            "its files and run again."
        )
    if not sum(counts):
        raise SemCompError(
            f"{split.folder}: no picture of split {split.name} could be read"
            + (f"; the first: {letters[0]['reason']}" if letters else ".")
        )
    path = _dead_letters_path(split.folder, split.name)
    _remove(path)
    if letters:
        with tf.io.gfile.GFile(path, "w") as file:
            file.write("".join(json.dumps(letter) + "\n" for letter in letters))
    further = {**split.further, "dead_letters": len(letters)}
    if means := _means(notes, sum(counts)):
        further["means"] = means
    further[split.entry] = dict(split.plan)
    records.write_index(split.folder, split.name, counts, split.classes, **further)


def _failure(split: Split, number: int) -> str:
    """Why a shard is not there."""
    shard = records.shard_name(split.name, number, split.shards)
    found = records.read_json(_hidden(split.folder, shard, "failed"))
    if found is not None:
        return found["reason"]
    return f"{tf.io.gfile.join(split.folder, shard)} was not made; run again."


def _means(notes: Sequence[Mapping[str, Any]], count: int) -> dict[str, float | None]:
    """Means over all records; None for an infinite one, which JSON lacks."""
    sums: dict[str, float] = {}
    for note in notes:
        for name, value in note["sums"].items():
            sums[name] = sums.get(name, 0.0) + float(value)
    return {
        name: value / count if math.isfinite(value) else None
        for name, value in sums.items()
    }


def _read_note(split: Split, number: int) -> dict | None:
    """What the note of a shard says, if the shard is whole and as it is wanted."""
    shard = records.shard_name(split.name, number, split.shards)
    note = records.read_json(_hidden(split.folder, shard, "part"))
    if not tf.io.gfile.exists(tf.io.gfile.join(split.folder, shard)):
        return None
    if note is not None and note["dead_letters"] and not split.skip_broken:
        return None
    return note


def _hidden(folder: str, name: str, suffix: str) -> str:
    return tf.io.gfile.join(folder, f".{name}.{suffix}")


def _dead_letters_path(folder: str, split: str) -> str:
    return tf.io.gfile.join(folder, f"{split}.dead_letters.jsonl")


def _remove(path: str) -> None:
    if tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
