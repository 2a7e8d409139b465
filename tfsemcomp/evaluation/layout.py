"""Where a result folder keeps its files.

    OUT/results.csv, results.json              the table (table.py)
    OUT/files/CODEC/IMAGE.SETTING.SUFFIX       each compressed file
    OUT/pictures/IMAGE.original.png            each original
    OUT/pictures/IMAGE.map.png                 its ROI map, 0 black to 1 white
    OUT/pictures/IMAGE.LAYER.png or .txt       whatever else is known of it
    OUT/files/CODEC/IMAGE.SETTING.LAYER.png    what one compressed file carries beside
        or .txt                                its pixels: edges, labels, caption, ...
    OUT/report.html                            the page (report.py)
    OUT/report.md                              its tables as Markdown (markdown.py)
    OUT/figures/KIND_METRIC.png, .svg          its plots, for print (figures.py)

Names are percent-encoded, so that any picture name, with folders in it or not, is one
plain and unique file name; long ones end in a hash in place of the rest. A layer is
there if its file is: the report shows every picture or text that lies in these places,
and needs to know no codec for it.
"""

import glob
import hashlib
import pathlib
import re
import urllib.parse

from tfsemcomp.evaluation.table import Row

REPORT_NAME = "report.html"
MARKDOWN_NAME = "report.md"
FIGURES_NAME = "figures"
# No dots, so that names with dots in them stay apart; a letter first, since settings
# such as "quality=0.5" end in digits.
_LAYER = re.compile(r"[a-z][a-z0-9_]*")
_LAYER_SUFFIXES = (".png", ".txt")
_ORIGINAL = "original"
_LONGEST = 110


def _plain(name: str) -> str:
    text = urllib.parse.quote(name, safe=" =,+")
    if len(text) <= _LONGEST:
        return text
    # File systems hold 255 bytes a name, and a name has two such parts and a suffix.
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{text[: _LONGEST - 17]}~{digest}"


def compressed_file(row: Row, suffix: str) -> str:
    """The compressed file of a row, relative to the result folder."""
    codec = f"{row.codec}-{row.model}" if row.model else row.codec
    name = f"{_plain(row.image)}.{_plain(row.setting)}{suffix}"
    return f"files/{_plain(codec)}/{name}"


def original(folder: pathlib.Path, image: str) -> pathlib.Path:
    """The PNG of the picture as it was compressed."""
    return folder / "pictures" / f"{_plain(image)}.{_ORIGINAL}.png"


def roi_map(folder: pathlib.Path, image: str) -> pathlib.Path:
    """The PNG of the picture's ROI map."""
    return folder / "pictures" / f"{_plain(image)}.map.png"


def picture_layer(
    folder: pathlib.Path, image: str, name: str, suffix: str = ".png"
) -> pathlib.Path:
    """Where a layer of a picture goes.

    Args:
        folder: the result folder.
        image: the picture's name in the table.
        name: of the layer: lower-case letters, digits and underscores. "map" is drawn
            as heat and "labels" in colours of its own where they have one channel;
            everything else as it is.
        suffix: ".png" for a picture of the original's size, ".txt" for UTF-8 text.

    Raises:
        ValueError: another name or suffix.
    """
    _check_layer(name, suffix)
    return folder / "pictures" / f"{_plain(image)}.{name}{suffix}"


def row_layer(
    folder: pathlib.Path, row: Row, name: str, suffix: str = ".png"
) -> pathlib.Path:
    """Where a layer of one compressed file goes; as `picture_layer`."""
    _check_layer(name, suffix)
    return folder / compressed_file(row, f".{name}{suffix}")


def picture_layers(folder: pathlib.Path, image: str) -> dict[str, pathlib.Path]:
    """The layers of a picture that are there, by name."""
    return _layers(folder / "pictures", _plain(image))


def row_layers(folder: pathlib.Path, row: Row) -> dict[str, pathlib.Path]:
    """The layers of one compressed file that are there, by name."""
    path = folder / compressed_file(row, "")
    return _layers(path.parent, path.name)


def _check_layer(name: str, suffix: str) -> None:
    if not _LAYER.fullmatch(name) or name == _ORIGINAL:
        raise ValueError(
            "`name` of a layer must be lower-case letters, digits and underscores, "
            f"and not {_ORIGINAL!r}; received {name!r}."
        )
    if suffix not in _LAYER_SUFFIXES:
        raise ValueError(
            f"`suffix` of a layer must be one of {', '.join(_LAYER_SUFFIXES)}, "
            f"received {suffix!r}."
        )


def _layers(folder: pathlib.Path, stem: str) -> dict[str, pathlib.Path]:
    found = {}
    for path in sorted(folder.glob(f"{glob.escape(stem)}.*")):
        name, _, _ = path.name.removeprefix(f"{stem}.").rpartition(".")
        if path.suffix in _LAYER_SUFFIXES and _LAYER.fullmatch(name):
            found[name] = path
    found.pop(_ORIGINAL, None)
    return found
