"""Compress three photos to content-aware JPEGs and show them beside plain JPEG.

Paper:  arXiv 1612.08712, with this project's allocator (docs of `msroi_jpeg`).
Run:    python recipes/demo.py --out=demo_output          (or: make demo)
Cost:   each photo is coded six times at every quality: seconds a photo on a CPU.
Expect: OUT/report.html; at the bytes of plain JPEG, the parts of the picture that count
        come out better and the rest a little worse.

Each photo is compressed as plain JPEG (4:2:0, optimised Huffman tables) at the given
qualities, then by `msroi_jpeg` to at most the same number of bytes each. Both are
standard JPEG files; they lie in OUT/files. `tfsemcomp compare` is the same as a command
of the installed package.
"""

import sys

from absl import app, flags, logging

from tfsemcomp.commands import batch, compare
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import comparison

_OUT = flags.DEFINE_string("out", "demo_output", "Result folder.")
_IMAGES = flags.DEFINE_string("images", None, "Photos; default: three that are here.")
_QUALITIES = flags.DEFINE_string("qualities", "30,50,75", "Of the plain JPEGs.")
_MAP = flags.DEFINE_string("map", None, "Method or mask; default: the shipped model.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "The first photo at one quality.")


def main(argv: list[str]) -> None:
    """Runs the demo."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.WARNING)
    progress = batch.Progress("photo")
    try:
        path = comparison.compare(
            _OUT.value,
            _IMAGES.value,
            compare.parse_qualities(_QUALITIES.value),
            roi_map=_MAP.value,
            first_only=_SMOKE.value,
            on_picture=progress.show,
        )
    except (SemCompError, ValueError) as error:
        sys.exit(f"error: {error}")
    finally:
        progress.close()
    print(f"Report: {path.resolve()}")


if __name__ == "__main__":
    app.run(main)
