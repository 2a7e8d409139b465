"""The sub-commands of `tfsemcomp`: what each takes, does and tells.

Cheap to import: numpy, Pillow and TensorFlow are imported by the functions that run.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfsemcomp.commands import (
    classify,
    compare,
    compress,
    conceptual,
    decompress,
    demo,
    evaluate,
    export,
    lists,
    map,
    truncate,
)
from tfsemcomp.commands.console import Console

if TYPE_CHECKING:
    from tfsemcomp.cli import Parser


@dataclasses.dataclass(frozen=True)
class Command:
    """A sub-command.

    Attributes:
        name: as typed.
        help: one line.
        add_arguments: tells a parser what it takes.
        run: does it and returns the exit status; raises what `cli.main` explains.
    """

    name: str
    help: str
    add_arguments: Callable[[Parser], None]
    run: Callable[[argparse.Namespace, Console], int]


COMMANDS: tuple[Command, ...] = (
    Command("compress", "Compress images.", compress.add_arguments, compress.run),
    Command(
        "decompress",
        "Decode compressed files and image files.",
        decompress.add_arguments,
        decompress.run,
    ),
    Command(
        "info",
        "Tell what a file holds, without decoding it.",
        lists.add_info,
        lists.run_info,
    ),
    Command(
        "truncate",
        "Cut a layered stream without re-encoding it.",
        truncate.add_arguments,
        truncate.run,
    ),
    Command("map", "Draw what matters in an image.", map.add_arguments, map.run),
    Command(
        "classify",
        "Tell what a classifier sees before and after compression.",
        classify.add_arguments,
        classify.run,
    ),
    Command(
        "structure",
        "Draw the lines that files of conceptual hold.",
        conceptual.add_structure,
        conceptual.run_structure,
    ),
    Command(
        "pyramid",
        "Show how the picture of a file of conceptual is built up.",
        conceptual.add_pyramid,
        conceptual.run_pyramid,
    ),
    Command(
        "swap_texture",
        "Give files of conceptual the texture of another.",
        conceptual.add_swap_texture,
        conceptual.run_swap_texture,
    ),
    Command(
        "edit_structure",
        "Give files of conceptual other lines.",
        conceptual.add_edit_structure,
        conceptual.run_edit_structure,
    ),
    Command(
        "interpolate",
        "Blend the textures of two files of conceptual.",
        conceptual.add_interpolate,
        conceptual.run_interpolate,
    ),
    Command("codecs", "List the codecs.", lists.add_nothing, lists.run_codecs),
    Command(
        "models",
        "List the trained models, or fetch one.",
        lists.add_models,
        lists.run_models,
    ),
    Command(
        "compare",
        "Show photos as content-aware and as plain JPEGs of the same bytes.",
        compare.add_arguments,
        compare.run,
    ),
    Command(
        "export",
        "Write models to where TF Serving hosts them.",
        export.add_arguments,
        export.run,
    ),
    Command(
        "evaluate",
        "Measure codecs on images.",
        evaluate.add_evaluate,
        evaluate.run_evaluate,
    ),
    Command(
        "report", "Make one page of results.", evaluate.add_report, evaluate.run_report
    ),
    Command(
        "demo",
        "Open a page to try codecs with photos.",
        demo.add_arguments,
        demo.run,
    ),
)
