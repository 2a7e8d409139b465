"""`tfsemcomp classify`: what a classifier sees before and after compression."""

from __future__ import annotations

import argparse
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import errors
from tfsemcomp.commands import batch, settings, shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.cli import Parser
    from tfsemcomp.evaluation.observer_classifiers import Classifier

# Its flag of this name lists true classes; some codecs would take a label map.
_OWN = ("labels",)


def add_arguments(parser: Parser) -> None:
    """Tells what the command takes, the codecs' own settings among it."""
    parser.add_argument("IMAGE", type=pathlib.Path, help="Image file, of any size.")
    parser.add_flag(
        "observer",
        required=True,
        help="Network that classifies: mobilenet, resnet50, ..., keras_cv:PRESET, "
        "folder:HEAD.npz or folder:FOLDER.",
    )
    parser.add_flag("topk", type=int, metavar="K", default=5, help="Classes told (5).")
    parser.add_flag(
        "labels",
        help="List with the image's true class, as `evaluate` takes it: a path, a tab "
        "and a class a line, or a path alone, whose directory is the class.",
    )
    parser.add_flag(
        "class_names",
        type=pathlib.Path,
        help="Names of the observer's classes, one a line in the order of their "
        "indexes, if it does not know them itself.",
    )
    shared.add_limits(parser)
    settings.add_encoding(parser, _OWN)


def run(args: argparse.Namespace, console: Console) -> int:
    """Classifies an image and what comes back from its compressed file."""
    if args.topk < 1:
        raise ValueError(f"`topk` must be at least 1, received {args.topk}")
    codec, keywords = settings.encoding(args, _OWN)
    limits = shared.limits(args)
    batch.check_input(args.IMAGE)
    from tfsemcomp import images
    from tfsemcomp.evaluation import observers

    start = time.perf_counter()
    loaded = images.load(args.IMAGE, limits=limits)
    classifier = observers.load_classifier(args.observer, args.labels)
    truth = _true_class(args, classifier)
    encoded = codec.encode(loaded.pixels, limits=limits, **keywords)
    decoded = codec.decompress(encoded.data, limits=limits)
    before, after = classifier.classify([loaded.pixels, decoded])
    names = _class_names(args, classifier, len(before), console)
    facts = {
        "input": args.IMAGE,
        **settings.rate_facts(codec, encoded, loaded.pixels),
        "observer": classifier.name,
        "original": _best(before, names, args.topk),
        "compressed": _best(after, names, args.topk),
        "preserved": bool(before.argmax() == after.argmax()),
    }
    if truth is not None:
        facts["truth"] = {
            "index": truth,
            "class": names[truth],
            "original": bool(before.argmax() == truth),
            "compressed": bool(after.argmax() == truth),
        }
    facts["seconds"] = round(time.perf_counter() - start, 3)
    facts["notes"] = loaded.notes
    for note in loaded.notes:
        console.note(f"{args.IMAGE}: {note}")
    console.result(facts, _tell(facts))
    return 0


def _true_class(args: argparse.Namespace, classifier: Classifier) -> int | None:
    """Index of the image's own class; None without `labels`."""
    if args.labels is None:
        return None
    if f"top1@{classifier.name}" not in classifier.columns:
        raise ValueError(
            f"`labels`: no class of {args.labels} is one of {classifier.name}'s; give "
            "a list with its names, or with class indexes"
        )
    label = classifier.label(args.IMAGE.resolve().as_posix())
    if label is None:
        raise ValueError(f"`labels`: {args.labels} gives no class for {args.IMAGE}")
    return label


def _class_names(
    args: argparse.Namespace, classifier: Classifier, count: int, console: Console
) -> Sequence[str]:
    """Names of all classes; "class N" where nobody knows them."""
    if args.class_names is not None:
        return _read_names(args.class_names, count)
    if classifier.classes:
        return classifier.classes
    from tfsemcomp.evaluation import observer_networks

    reason = "the observer does not name its classes"
    if count == observer_networks.IMAGENET_CLASSES:
        try:
            return [name for _, name in observer_networks.imagenet_classes()]
        except errors.UnavailableError as error:
            reason = str(error)
    console.note(f"classes are told by their indexes, or give --class_names: {reason}")
    return [f"class {index}" for index in range(count)]


def _read_names(path: pathlib.Path, count: int) -> list[str]:
    from tfsemcomp import api

    try:
        names = api.read_file(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise errors.SemCompError(f"`{path}` is no text in UTF-8") from error
    if len(names) != count:
        raise ValueError(
            f"`class_names` must have a line for each of the observer's {count} "
            f"classes, {path} has {len(names)}"
        )
    return names


def _best(shares: np.ndarray, names: Sequence[str], k: int) -> list[dict[str, Any]]:
    """The k likeliest classes, the best first."""
    order = shares.argsort(kind="stable")[::-1][:k]
    return [
        {"class": names[index], "index": int(index), "share": float(shares[index])}
        for index in order
    ]


def _tell(facts: dict[str, Any]) -> str:
    codec = " ".join(filter(None, (facts["codec"], facts["model"])))
    left = [f"{best['share']:.3f} {best['class']}" for best in facts["original"]]
    right = [f"{best['share']:.3f} {best['class']}" for best in facts["compressed"]]
    width = max(map(len, ["original", *left]))
    lines = [
        f"{facts['input']}: {facts['width']}x{facts['height']}, {codec}, "
        f"{settings.tell_rate(facts)}",
        f"{facts['observer']}:",
        f"  {'original':{width}}  compressed",
        *(f"  {a:{width}}  {b}" for a, b in zip(left, right, strict=True)),
        f"top-1 {'kept' if facts['preserved'] else 'lost'}",
    ]
    truth = facts.get("truth")
    if truth is not None:
        words = [
            f"{which} {'right' if truth[which] else 'wrong'}"
            for which in ("original", "compressed")
        ]
        lines[-1] += f"; it is {truth['class']}: {', '.join(words)}"
    return "\n".join(lines)
