"""Where a result folder keeps its files.

    OUT/results.csv, results.json              the table (table.py)
    OUT/files/CODEC/IMAGE.SETTING.SUFFIX       each compressed file
    OUT/pictures/IMAGE.original.png            each original
    OUT/pictures/IMAGE.map.png                 its ROI map, 0 black to 1 white
    OUT/report.html                            the page (report.py)

Names are percent-encoded, so that any picture name, with folders in it or not, is one
plain and unique file name.
"""

import pathlib
import urllib.parse

from tfsemcomp.evaluation.table import Row

REPORT_NAME = "report.html"


def _plain(name: str) -> str:
    return urllib.parse.quote(name, safe=" =,+")


def compressed_file(row: Row, suffix: str) -> str:
    """The compressed file of a row, relative to the result folder."""
    codec = f"{row.codec}-{row.model}" if row.model else row.codec
    name = f"{_plain(row.image)}.{_plain(row.setting)}{suffix}"
    return f"files/{_plain(codec)}/{name}"


def original(folder: pathlib.Path, image: str) -> pathlib.Path:
    """The PNG of the picture as it was compressed."""
    return folder / "pictures" / f"{_plain(image)}.original.png"


def roi_map(folder: pathlib.Path, image: str) -> pathlib.Path:
    """The PNG of the picture's ROI map."""
    return folder / "pictures" / f"{_plain(image)}.map.png"
