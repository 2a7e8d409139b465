"""`tfsemcomp evaluate` and `tfsemcomp report`: measure codecs, show results."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import api
from tfsemcomp.codecs import base
from tfsemcomp.commands import batch, settings, shared
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser
    from tfsemcomp.evaluation.summary import Summary

_CLASS_FOLDERS = "folders"
_LIST_SUFFIXES = (".txt", ".tsv")


def add_evaluate(parser: Parser) -> None:
    """Tells what the command takes."""
    parser.add_flag(
        "codecs", required=True, help="Codecs or models, separated by commas."
    )
    parser.add_flag(
        "images",
        required=True,
        type=pathlib.Path,
        help="Directory of images, one image, or a list of images (.txt, .tsv) with "
        "paths below its own directory; what follows a tab does not count.",
    )
    parser.add_flag(
        "out", required=True, type=pathlib.Path, help="Directory for the results."
    )
    parser.add_flag(
        "qualities",
        action="append",
        help="Qualities, separated by commas; CODEC:Q,Q,... for one codec, repeatedly. "
        "Default: five over each codec's range.",
    )
    parser.add_flag(
        "metrics",
        help="Metrics, separated by commas; feature_lpips@BACKBONE and the like "
        "compare features of a network. Default: all that apply and need none.",
    )
    parser.add_flag(
        "observers",
        help="Networks that look at the decoded images, separated by commas: "
        "mobilenet, resnet50, ..., keras_cv:PRESET, folder:HEAD.npz, segmenter:MODEL.",
    )
    parser.add_flag(
        "labels",
        help="Classes of the images, for observers: a list with a path, a tab and a "
        "class a line, or a path alone, whose directory is the class; or "
        f"{_CLASS_FOLDERS}: --images has a directory for each class.",
    )
    parser.add_flag(
        "label_maps",
        help="Directory of true label maps, 8-bit PNGs named like the images, for "
        "observers that segment.",
    )
    parser.add_flag(
        "repeats", type=int, default=1, help="Runs of which the median time counts."
    )
    parser.add_flag(
        "workers",
        type=int,
        metavar="N",
        default=1,
        help="Processes to use (1); with more, each has one thread, and times are "
        "those of one core.",
    )
    parser.add_flag("seed", type=int, default=0, help="Of random numbers (0).")
    parser.add_switch(
        "resume",
        help="Keep the rows of the results that images, settings and versions of today "
        "would give again, and make the others.",
    )
    parser.add_switch(
        "keep_files", help="Keep the compressed files for the report (default)."
    )
    group = parser.add_argument_group(
        "settings of codecs",
        "Each goes to the codecs that have it; --map also to the metrics of regions.",
    )
    for name, declared in _settings().items():
        settings.add_flag(parser, group, name, declared)
    settings.add_server(parser)
    shared.add_limits(parser)


def _settings() -> dict[str, list[tuple[str, base.Setting]]]:
    """The settings that go with a quality, and with more than one picture."""
    return {
        name: declared
        for name, declared in settings.declared(without=("labels",)).items()
        if not declared[0][1].target
    }


def _load(name: str, server: str | None) -> base.Codec:
    """The codec, its networks on the server if it has any."""
    codec = api.load(name)
    if server is None or not codec.uses_model:
        return codec
    return api.load(name, server=server)


def run_evaluate(args: argparse.Namespace, console: Console) -> int:
    """Measures codecs on images."""
    codecs = [_load(name, args.server) for name in _split(args.codecs)]
    if not codecs:
        raise ValueError("`codecs` must name at least one codec")
    by_codec = _settings_by_codec(args, codecs)
    limits = shared.limits(args)
    from tfsemcomp.evaluation import sweep

    images, labels = _labelled_images(args.images, args.labels)
    progress = batch.Progress("row")
    table = sweep.run_sweep(
        codecs,
        images,
        args.out,
        _qualities(args.qualities, codecs),
        _split(args.metrics) or None,
        observers=_split(args.observers),
        labels=labels,
        label_maps=args.label_maps,
        roi_map=args.map,
        settings=by_codec,
        repeats=args.repeats,
        seed=args.seed,
        workers=args.workers,
        keep_files=args.keep_files is not False,
        resume=bool(args.resume),
        limits=limits,
        on_row=lambda _row, done, total: progress.show(done, total),
    )
    progress.close()
    failed = [row for row in table.rows if row.error]
    for row in failed:
        console.failure(f"{row.image}, {row.codec} {row.setting}: {row.error}")
    done = len(table.rows) - len(failed)
    console.result(
        {
            "out": args.out,
            "rows": done,
            "failed": [
                {
                    "image": row.image,
                    "codec": row.codec,
                    "setting": row.setting,
                    "error": row.error,
                }
                for row in failed
            ],
            "metrics": table.metric_names(),
        },
        f"{args.out}: {done} results"
        + (f", {len(failed)} failed" if failed else "")
        + f"; `tfsemcomp report {args.out}` draws them",
    )
    return 1 if failed else 0


def _settings_by_codec(
    args: argparse.Namespace, codecs: Sequence[base.Codec]
) -> dict[str, dict[str, Any]]:
    given = settings.given(args, _settings())
    names = {codec.name: {s.name for s in codec.settings} for codec in codecs}
    for name in given:
        if name != "map" and not any(name in known for known in names.values()):
            raise ValueError(f"`{name}` is a setting of none of {', '.join(names)}")
    return {
        codec: {name: value for name, value in given.items() if name in known}
        for codec, known in names.items()
    }


def _labelled_images(
    images: pathlib.Path, labels: str | None
) -> tuple[pathlib.Path | list[pathlib.Path], Any]:
    """What the sweep takes as images and labels."""
    if labels == _CLASS_FOLDERS:
        return _class_folders(images)
    if images.suffix in _LIST_SUFFIXES and images.is_file():
        lines = api.read_file(images).decode("utf-8", "replace").splitlines()
        names = [line.partition("\t")[0].strip() for line in lines]
        return [images.parent / name for name in names if name], labels
    return images, labels


def _class_folders(folder: pathlib.Path) -> tuple[list[pathlib.Path], dict[str, str]]:
    """The images in the directories of a directory, and their classes by name."""
    from tfsemcomp.evaluation import sweep

    if not folder.is_dir():
        raise ValueError(
            f"`images` must be a directory of directories for the labels "
            f"{_CLASS_FOLDERS!r}, received `{folder}`"
        )
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    pictures = sweep.name_pictures(folders)
    classes = {image: path.parent.name for image, path in pictures.items()}
    return list(pictures.values()), classes


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _qualities(
    texts: Sequence[str] | None, codecs: Sequence[base.Codec]
) -> Sequence[float] | dict[str, list[float]] | None:
    """Qualities by codec name: those of one codec win over those for all."""
    if not texts:
        return None
    for_all: list[float] = []
    by_codec: dict[str, list[float]] = {}
    for text in texts:
        name, colon, numbers = text.rpartition(":")
        if colon and name not in [codec.name for codec in codecs]:
            raise ValueError(f"`qualities` names {name!r}, which is not in `codecs`")
        target = by_codec.setdefault(name, []) if colon else for_all
        target += map(_number, _split(numbers))
    if for_all:
        by_codec = {codec.name: for_all for codec in codecs} | by_codec
    return by_codec


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"`qualities` must be numbers, received {text!r}") from None


def add_report(parser: Parser) -> None:
    """Tells what the command takes."""
    parser.add_argument(
        "DIR", type=pathlib.Path, help="Directory that `evaluate` filled."
    )
    parser.add_flag("title", help="Heading of the page.")
    parser.add_flag(
        "reference",
        help="Curve that the others are compared with, measured or quoted (jpeg).",
    )
    parser.add_flag(
        "anchors",
        help="Quoted curves to draw beside the measured ones: kodak, tecnick or none. "
        "Default: those of the images, if they are one of these sets.",
    )
    parser.add_flag(
        "pictures",
        type=int,
        metavar="N",
        help="Images to show in the page, at most (12); numbers hold all.",
    )
    parser.add_switch(
        "figures", help="Draw DIR/figures/*.png and *.svg, for print, as well."
    )
    parser.add_switch("markdown", help="Write the tables to DIR/report.md as well.")


def run_report(args: argparse.Namespace, console: Console) -> int:
    """Writes the page of a result folder, and what else is asked for."""
    from tfsemcomp.evaluation import report

    options = _given(args, "title", "reference", "anchors", "pictures")
    path = report.write_report(args.DIR, **options)
    facts: dict[str, Any] = {"report": path}
    written = [path]
    if args.figures or args.markdown:
        from tfsemcomp.evaluation import summary, table

        found = summary.summarise(
            table.read(args.DIR), dataset=options.get("anchors", summary.AUTO)
        )
        if args.figures:
            facts["figures"] = _draw(args, found)
            written += facts["figures"]
        if args.markdown:
            facts["markdown"] = _write_tables(args, found, facts.get("figures", []))
            written.append(facts["markdown"])
    console.result(facts, "\n".join(map(str, written)))
    return 0


def _draw(args: argparse.Namespace, found: Summary) -> list[pathlib.Path]:
    from tfsemcomp.evaluation import figures, layout

    return figures.write_figures(
        found, args.DIR / layout.FIGURES_NAME, reference=args.reference
    )


def _write_tables(
    args: argparse.Namespace, found: Summary, figures: Sequence[pathlib.Path]
) -> pathlib.Path:
    from tfsemcomp.evaluation import markdown

    return markdown.write_markdown(
        found,
        args.DIR,
        figures=[path for path in figures if path.suffix == ".png"],
        **_given(args, "title", "reference"),
    )


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the flags that have a value."""
    values = {name: getattr(args, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
