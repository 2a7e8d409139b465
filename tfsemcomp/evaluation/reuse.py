"""Which rows of an earlier run still hold, so that a sweep need not make them again."""

import pathlib
from collections.abc import Collection, Mapping
from typing import Any

from absl import logging

from tfsemcomp.evaluation import table
from tfsemcomp.evaluation.table import Row, Table

Key = tuple[str, str, str, str]

# Parts of a table's description that hold for all of its rows.
_SAME = ("seed", "repeats", "roi_map", "labels", "label_maps")


def load(
    out: pathlib.Path,
    meta: Mapping[str, Any],
    columns: Collection[str],
    needs_files: bool,
) -> Table:
    """The rows of a result folder that a new run may keep.

    A row is kept if it has no error, has every column wanted, and its picture is still
    the same file. All are dropped, and the log says why, if the versions, models or
    options that they were made with are others now. The commit does not count: who
    changes the code without its version must not resume.

    Args:
        out: the result folder.
        meta: the description of the new run; see `sweep.run_sweep`.
        columns: metrics that a row must have.
        needs_files: whether its compressed file must be there.

    Returns:
        The rows, and `meta` completed by what describes rows beyond the new run's own
        pictures and codecs. No rows where there is no table.

    Raises:
        SemCompError: the table cannot be read.
    """
    if not (out / table.JSON_NAME).is_file():
        return Table((), meta)
    old = table.read(out)
    changes = _changes(old.meta, meta)
    if changes:
        logging.warning("%s: all is measured again: %s", out, "; ".join(changes))
        return Table((), meta)
    digests = old.meta.get("images", {})
    current = {**digests, **meta["images"]}
    rows = tuple(
        row
        for row in old.rows
        if not row.error
        and set(columns) <= set(row.metrics)
        and digests.get(row.image) == current.get(row.image) is not None
        and (not needs_files or _has_file(out, row))
    )
    kept = {row.image: current[row.image] for row in rows}
    merged = {
        "images": {**kept, **meta["images"]},
        "models": {**old.meta.get("models", {}), **meta["models"]},
        "workers": sorted({*old.meta.get("workers", ()), *meta["workers"]}),
    }
    return Table(rows, {**meta, **(merged if rows else {})})


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What rows of an old run would not share with those of a new one, in words."""
    if "versions" not in old:
        return ["its table does not say what made it"]
    changes = []
    for part in ("versions", "models"):
        before = old.get(part, {})
        changes += [
            f"{name} was {before[name]} and is {value}"
            for name, value in new[part].items()
            # What was not there then cannot have made anything.
            if before.get(name, value) != value
        ]
    changes += [
        f"`{name}` was {old.get(name)} and is {new[name]}"
        for name in _SAME
        if old.get(name) != new[name]
    ]
    missing = [
        name for name in new["observers"] if name not in old.get("observers", ())
    ]
    if missing:
        changes.append(f"`observers` had no {', '.join(missing)}")
    return changes


def _has_file(out: pathlib.Path, row: Row) -> bool:
    return bool(row.file) and (out / row.file).is_file()
