"""Measure detectors of edges against the edges that people drew.

Paper:  Arbelaez et al., IEEE TPAMI 2011 (BSDS500 and its measures).
Run:    python recipes/evaluate_edges.py --data=records/bsds:val --out=runs/edges_val \
            --methods="canny,canny;sigma=3,canny_opencv,sobel,learned" --write_card
Cost:   about 1 s a picture and method at 11 thresholds, one busy core.
Result: OUT/edges.json and edges.md: ODS and OIS F1, the area below precision over
        recall, and the best threshold, of each method. `--write_card` enters the
        figures of learned ones in their cards, and the best threshold, which
        `semantics.edges` then takes.

A method is METHOD;OPTION=VALUE, with the options `sigma` and `model` of
`semantics.edges.extract`. All lines are thinned to one pixel. A pixel counts as right
within .0075 of the diagonal (tfsemcomp/metrics/boundaries.py).
"""

import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm
from absl import app, flags

from tfsemcomp import images
from tfsemcomp.data import planes, reading, records
from tfsemcomp.errors import SemCompError
from tfsemcomp.metrics import boundaries
from tfsemcomp.metrics.boundaries import Counts
from tfsemcomp.semantics import edges
from tfsemcomp.serving import manifest

_DATA = flags.DEFINE_string("data", None, "folder:split of records.", required=True)
_METHODS = flags.DEFINE_list("methods", ["canny"], "METHOD[;OPTION=VALUE...]")
_THRESHOLDS = flags.DEFINE_integer("thresholds", 25, "How many to try.", 2)
_OUT = flags.DEFINE_string("out", "results/edges", "Folder for the results.")
_WRITE = flags.DEFINE_boolean("write_card", False, "Enter figures in models' cards.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two pictures, to OUT/smoke; no card.")

_LEARNED = "learned"
# Of what the default threshold of a method without a network is multiplied by.
_FACTORS = (1 / 4, 8)
# Least and largest threshold of learned edges.
_STRENGTHS = (0.02, 0.98)

Options = Mapping[str, Any]


def parse_method(text: str) -> tuple[str, Options]:
    """Method and options of a word of `--methods`.

    Raises:
        ValueError: it is none.
    """
    method, *pairs = text.split(";")
    options: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in ("sigma", "model") or not value:
            raise ValueError(
                f"`--methods` takes METHOD;sigma=VALUE or ;model=NAME; got '{text}'."
            )
        options[name] = float(value) if name == "sigma" else value
    edges.check_options(method, **options)
    return method, options


def thresholds(method: str, count: int) -> np.ndarray:
    """The thresholds to try, rising."""
    if method == _LEARNED:
        return np.linspace(*_STRENGTHS, count)
    return edges.THRESHOLDS[method] * np.geomspace(*_FACTORS, count)


def lines(
    pixels: np.ndarray, method: str, options: Options, levels: Sequence[float]
) -> Iterator[np.ndarray]:
    """Lines of one pixel's width at each threshold."""
    if method == _LEARNED:
        # As `extract` does, but the network runs once.
        crests = edges.suppress(edges.strength(pixels, method, **options))
        for level in levels:
            yield edges.thin((crests >= level).astype(np.uint8))
        return
    for level in levels:
        yield edges.thin(edges.extract(pixels, method, threshold=level, **options))


def pictures() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures uint8 [H,W,3] and drawn edges float64 [H,W] of the records."""
    stream = reading.serialized(*records.parse_source(_DATA.value))
    found = []
    for serialized in stream.take(2) if _SMOKE.value else stream:
        record = records.deserialize(serialized.numpy())
        if not record.edges:
            raise SemCompError(
                f"{_DATA.value}: {record.name} has no edges; give records of a layout "
                "with drawn edges, such as bsds500."
            )
        pixels = images.load_bytes(record.image, name=record.name).pixels
        found.append((pixels, planes.decode(record.edges, record.name) / 255))
    return found


def measure(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], method: str, options: Options
) -> dict[str, Any]:
    """Scores of a method, its curve, and seconds a picture at the best threshold."""
    levels = thresholds(method, _THRESHOLDS.value)
    counts: list[list[Counts]] = []
    for pixels, drawn in tqdm.tqdm(pairs, desc=method):
        found = lines(pixels, method, options, levels)
        counts.append([boundaries.count(drawn, line) for line in found])
    scores = boundaries.score(counts)
    totals = [sum(column, Counts()) for column in zip(*counts, strict=True)]
    best = float(levels[scores.best])
    area = sum(drawn.size for _, drawn in pairs)
    began = time.perf_counter()
    for pixels, _ in pairs:
        edges.extract(pixels, method, threshold=best, **options)
    return {
        "ods": round(scores.ods, 4),
        "ois": round(scores.ois, 4),
        "average_precision": round(scores.average_precision, 4),
        "threshold": round(best, 4),
        "precision": round(scores.precision, 4),
        "recall": round(scores.recall, 4),
        "density": round(totals[scores.best].found / area, 4),
        "seconds": round((time.perf_counter() - began) / len(pairs), 4),
        "curve": [
            {
                "threshold": round(float(level), 4),
                "precision": round(total.precision, 4),
                "recall": round(total.recall, 4),
            }
            for level, total in zip(levels, totals, strict=True)
        ],
    }


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The scores as Markdown."""
    columns = ("ods", "ois", "average_precision", "threshold", "density", "seconds")
    rows = [
        f"| method | {' | '.join(columns).replace('_', ' ')} |",
        f"|---{'|---' * len(columns)}|",
    ]
    for name, found in results.items():
        values = " | ".join(f"{found[column]:g}" for column in columns)
        rows.append(f"| `{name}` | {values} |")
    return "\n".join(rows) + "\n"


def enter(options: Options, found: Mapping[str, Any]) -> None:
    """Enters scores and the best threshold in a model's card."""
    model = edges.find_model(options.get("model"))
    scores = {name: value for name, value in found.items() if name != "curve"}
    own = {"data": os.path.basename(_DATA.value), **scores}
    results = {**model.card.get("results", {}), "boundaries": own}
    card = {**model.card, edges.THRESHOLD: found["threshold"], "results": results}
    manifest.add(model.path.parents[1], card, model.default)


def main(argv: list[str]) -> None:
    """Measures all methods and writes the results."""
    del argv
    methods = {text: parse_method(text) for text in _METHODS.value}
    pairs = pictures()
    results = {text: measure(pairs, *method) for text, method in methods.items()}
    out = pathlib.Path(_OUT.value)
    out = out / "smoke" if _SMOKE.value else out
    out.mkdir(parents=True, exist_ok=True)
    content = {"data": _DATA.value, "pictures": len(pairs), "methods": results}
    text = json.dumps(content, indent=1) + "\n"
    images.write_atomic(out / "edges.json", text.encode())
    images.write_atomic(out / "edges.md", table(results).encode())
    print(table(results), end="")
    for text, (method, options) in methods.items():
        if method == _LEARNED and _WRITE.value and not _SMOKE.value:
            enter(options, results[text])


if __name__ == "__main__":
    app.run(main)
