"""From a collection to sharded records: in parts, resumable, with dead letters.

A shard is made by one call from one part of a split, and what it holds depends on
nothing but the collection and the settings; so calls may run in any order and in any
process. Files of a split in the making:

| file | content |
|---|---|
| .SPLIT.plan | what the shards are made of; a run with other settings is refused |
| .SHARD.part | written after the shard: how many records, and what was left out |

When all parts are there they become the index (records.py) and, if anything was left
out, `SPLIT.dead_letters.jsonl` with a line {"name", "reason"} for each picture. A run
that was killed makes only the parts that are missing.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from tfsemcomp import version
from tfsemcomp.data import preparation as preparations
from tfsemcomp.data import records
from tfsemcomp.data.items import Collection, Item
from tfsemcomp.errors import SemCompError

# The entry of an index that tells what the split was made of.
PLAN = "plan"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How records are made of a collection.

    Attributes:
        out: local or ``tf.io.gfile`` folder for the shards.
        preparation: what is done to each picture.
        shards: files of each split.
        seed: fixes the order.
        skip_broken: pictures that cannot be read become dead letters; otherwise the
            first one ends the run.
    """

    out: str
    preparation: preparations.Preparation
    shards: int = 8
    seed: int = 1
    skip_broken: bool = False

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ValueError(f"`shards` must be at least 1; got {self.shards}.")


@dataclasses.dataclass(frozen=True)
class Part:
    """One shard to be made; it can be sent to another process.

    Attributes:
        settings: of the run.
        dataset: name of the collection.
        split: of the shard.
        number: of the shard in its split.
        items: that it is made of.
        map_table: see `items.Collection`.
    """

    settings: Settings
    dataset: str
    split: str
    number: int
    items: Iterable[Item]
    map_table: bytes | None


# Makes all parts, in any order.
Runner = Callable[[Sequence[Part]], None]


def run_here(parts: Sequence[Part]) -> None:
    """Makes all parts in this process."""
    for part in parts:
        make_part(part)


def build(
    collection: Collection, settings: Settings, run: Runner = run_here
) -> dict[str, dict]:
    """Makes the records of all splits of a collection that are not there yet.

    Args:
        collection: the pictures.
        settings: how.
        run: makes parts; its processes, if any, need no order.

    Returns: the index of each split.
    Raises:
        SemCompError: a picture that cannot be read, without `skip_broken`; a split of
            which nothing can; or records of other settings in the folder.
    """
    tf.io.gfile.makedirs(settings.out)
    plans = {split: _plan(collection, split, settings) for split in collection.splits}
    missing: list[Part] = []
    for split, plan in plans.items():
        if _is_finished(settings.out, split, plan):
            logging.info("split %s is there already", split)
            continue
        _claim(settings.out, split, plan)
        missing += [
            _part(collection, split, number, settings)
            for number in range(settings.shards)
            if _read_note(settings, split, number) is None
        ]
    run(missing)
    return {
        split: _finish(collection, split, settings, plan)
        for split, plan in plans.items()
    }


def make_part(part: Part) -> None:
    """Makes one shard and the note that it is whole.

    Raises:
        SemCompError: a picture that cannot be read, without `skip_broken`.
    """
    letters: list[dict[str, str]] = []
    place = part.settings, part.split, part.number
    count = records.write_shard(_shard_path(*place), _records(part, letters))
    note = {"records": count, "dead_letters": letters}
    records.write_json(_note_path(*place), note)


def read_dead_letters(folder: str, split: str) -> list[dict[str, str]]:
    """What was left out of a split: `name` and `reason` of each picture."""
    path = _dead_letters_path(folder, split)
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        return [json.loads(line) for line in file.read().splitlines()]


def _records(part: Part, letters: list[dict[str, str]]) -> Iterator[records.Record]:
    for item in part.items:
        try:
            yield preparations.prepare(
                item,
                part.settings.preparation,
                dataset=part.dataset,
                split=part.split,
                map_table=part.map_table,
            )
        except SemCompError as error:
            if not part.settings.skip_broken:
                raise type(error)(
                    f"{item.name}: {error} (`--skip_broken` leaves such pictures out)"
                ) from error
            logging.warning("left out: %s: %s", item.name, error)
            letters.append({"name": item.name, "reason": str(error)})


def _part(collection: Collection, split: str, number: int, settings: Settings) -> Part:
    items = collection.splits[split].part(number, settings.shards, settings.seed)
    return Part(settings, collection.name, split, number, items, collection.map_table)


def _plan(collection: Collection, split: str, settings: Settings) -> dict[str, Any]:
    """All that decides what the shards hold, in JSON types."""
    return {
        "dataset": collection.name,
        "items": collection.splits[split].digest(),
        "count": len(collection.splits[split]),
        "map_table": (collection.map_table or b"").hex(),
        "preparation": dataclasses.asdict(settings.preparation),
        "shards": settings.shards,
        "seed": settings.seed,
        "skip_broken": settings.skip_broken,
        "version": version.__version__,
    }


def _is_finished(folder: str, split: str, plan: dict[str, Any]) -> bool:
    if not tf.io.gfile.exists(records.index_path(folder, split)):
        return False
    _check_plan(folder, split, records.read_index(folder, split).get(PLAN, {}), plan)
    return True


def _claim(folder: str, split: str, plan: dict[str, Any]) -> None:
    path = _plan_path(folder, split)
    if tf.io.gfile.exists(path):
        with tf.io.gfile.GFile(path) as file:
            _check_plan(folder, split, json.loads(file.read()), plan)
    records.write_json(path, plan)


def _check_plan(folder: str, split: str, found: dict, plan: dict[str, Any]) -> None:
    other = [name for name in plan if found.get(name) != plan[name]]
    if other:
        raise SemCompError(
            f"{folder}: split {split} was made with another {' and '.join(other)}; "
            "remove its files or choose another folder."
        )


def _finish(
    collection: Collection, split: str, settings: Settings, plan: dict[str, Any]
) -> dict:
    folder = settings.out
    if not _is_finished(folder, split, plan):
        _write_index(collection, split, settings, plan)
    # Notes, and what a killed process was writing.
    shards = {
        records.shard_name(split, number, settings.shards)
        for number in range(settings.shards)
    }
    for name in tf.io.gfile.listdir(folder):
        if name.startswith(".") and os.path.splitext(name[1:])[0] in shards:
            _remove(tf.io.gfile.join(folder, name))
    _remove(_plan_path(folder, split))
    return records.read_index(folder, split)


def _write_index(
    collection: Collection, split: str, settings: Settings, plan: dict[str, Any]
) -> None:
    counts, letters = [], []
    for number in range(settings.shards):
        note = _read_note(settings, split, number)
        if note is None:
            path = _shard_path(settings, split, number)
            raise SemCompError(f"{path} was not made; run again.")
        counts.append(note["records"])
        letters += note["dead_letters"]
    if sum(counts) + len(letters) != plan["count"]:
        raise SemCompError(
            f"{settings.out}: split {split} has {plan['count']} pictures, but "
            f"{sum(counts)} records and {len(letters)} dead letters were made; remove "
            "its files and run again."
        )
    if not sum(counts):
        raise SemCompError(
            f"{settings.out}: no picture of split {split} could be read"
            + (f"; the first: {letters[0]['reason']}" if letters else ".")
        )
    path = _dead_letters_path(settings.out, split)
    _remove(path)
    if letters:
        with tf.io.gfile.GFile(path, "w") as file:
            file.write("".join(json.dumps(letter) + "\n" for letter in letters))
    records.write_index(
        settings.out,
        split,
        counts,
        collection.classes,
        map_classes=list(collection.map_classes),
        dead_letters=len(letters),
        **{PLAN: plan},
    )


def _read_note(settings: Settings, split: str, number: int) -> dict | None:
    """What the note of a shard says, if the shard is whole."""
    path = _note_path(settings, split, number)
    shard = _shard_path(settings, split, number)
    if not tf.io.gfile.exists(path) or not tf.io.gfile.exists(shard):
        return None
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


def _shard_path(settings: Settings, split: str, number: int) -> str:
    name = records.shard_name(split, number, settings.shards)
    return tf.io.gfile.join(settings.out, name)


def _note_path(settings: Settings, split: str, number: int) -> str:
    name = records.shard_name(split, number, settings.shards)
    return tf.io.gfile.join(settings.out, f".{name}.part")


def _plan_path(folder: str, split: str) -> str:
    return tf.io.gfile.join(folder, f".{split}.plan")


def _dead_letters_path(folder: str, split: str) -> str:
    return tf.io.gfile.join(folder, f"{split}.dead_letters.jsonl")


def _remove(path: str) -> None:
    if tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
