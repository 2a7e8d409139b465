"""Quoted curves to draw and to score beside measured ones, with their sources.

The points are in anchor_data/*.csv; its README tells columns, sources and licences.
"""

import csv
import functools
import importlib.resources
import pathlib
from collections.abc import Iterable

from tfsemcomp.evaluation.curves import Curve

# Data sets by name: how many pictures the means are over.
_IMAGES = {"kodak": 24, "tecnick": 100}
_METRICS = ("psnr", "ms_ssim")
_KODAK = frozenset(f"kodim{number:02}" for number in range(1, 25))


def datasets() -> tuple[str, ...]:
    """The data sets that points are quoted for."""
    return tuple(_IMAGES)


def curves(dataset: str, metric: str) -> list[Curve]:
    """All quoted curves of a data set.

    Args:
        dataset: one of `datasets()`.
        metric: a key of `tfsemcomp.metrics.METRICS`; points are quoted for psnr and
            ms_ssim.

    Returns:
        Curves with `measured` False and their source; none for other metrics.

    Raises:
        ValueError: an unknown data set.
    """
    if dataset not in _IMAGES:
        raise ValueError(
            f"`dataset` must be one of {', '.join(_IMAGES)}, received {dataset!r}."
        )
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for point in _points(dataset) if metric in _METRICS else ():
        if point[metric]:
            key = (point["method"], point["optimised_for"])
            groups.setdefault(key, []).append(point)
    return [
        Curve(
            name=f"{method} ({aim})" if aim else method,
            metric=metric,
            rates=tuple(float(point["bpp"]) for point in points),
            values=tuple(float(point[metric]) for point in points),
            measured=False,
            source=points[0]["source"],
            images=_IMAGES[dataset],
        )
        for (method, aim), points in groups.items()
    ]


def find_dataset(images: Iterable[str]) -> str | None:
    """The data set that these picture names make up, as a whole.

    Args:
        images: names of files, as a table has them.

    Returns:
        "kodak" for kodim01 to kodim24, whatever their folders and suffixes; else None:
        quoted means over other pictures are no yardstick.
    """
    names = {pathlib.PurePosixPath(image).stem for image in images}
    return "kodak" if names == _KODAK else None


@functools.cache
def _points(dataset: str) -> tuple[dict[str, str], ...]:
    folder = importlib.resources.files("tfsemcomp.evaluation") / "anchor_data"
    text = (folder / f"{dataset}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
