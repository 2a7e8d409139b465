"""Draw what labels bring: photo, labels, base picture, and what is made of it.

Paper:  arXiv 2005.12810 (JPD-SE): pictures beside those of the base codec.
Run:    python recipes/figure_semantic_enhanced.py --images=DATA_DIR/camvid/images/val \
            --labels=DATA_DIR/camvid/labels/val --base=jpeg --quality=5 \
            --perceptions=0,1 --out=docs/images/semantic_enhanced.png
Cost:   not timed on a free machine yet; a file a photo, decoded once for each panel.
Expect: at low qualities less blocks and more texture than the base picture has; with
        more perception sharper, and less true.

Labels are files of the photos' names; without `--labels` the segmenter finds them in
the photos. Bytes are those of the whole file, cut before the labels for the base.
"""

import pathlib

import numpy as np
from absl import app, flags

from tfsemcomp import bitstream, images
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import panels

_IMAGES = flags.DEFINE_string("images", None, "Folder of photos.", required=True)
_LABELS = flags.DEFINE_string("labels", None, "Folder of label maps of these names.")
_OUT = flags.DEFINE_string("out", None, "Picture to write.", required=True)
_MODEL = flags.DEFINE_string("model", None, "Name or path; default: the shipped one.")
_BASE = flags.DEFINE_string("base", "jpeg", "Base codec.")
_QUALITY = flags.DEFINE_float("quality", 5, "Of ours.")
_PERCEPTIONS = flags.DEFINE_list("perceptions", ["0"], "Places of the dial, 0 to 1.")
_ROWS = flags.DEFINE_integer("rows", 4, "How many photos.", 1)
_SIDE = flags.DEFINE_integer("side", 240, "Of a panel, pixels.", 32)


def row(codec: base.Codec, path: pathlib.Path) -> list[panels.Panel]:
    """The panels of a photo."""
    photo = images.read(path)
    settings = {"mode": "segment"}
    if _LABELS.value is not None:
        settings = {"labels": pathlib.Path(_LABELS.value) / f"{path.stem}.png"}
    data = codec.compress(photo, base=_BASE.value, quality=_QUALITY.value, **settings)
    size = len(bitstream.truncate(data, 1))
    found = [
        ("original", photo),
        (f"labels, {len(data) - size} B", colours(codec.labels(data))),
        (f"{_BASE.value}, {size} B", codec.decompress(data, layers=1)),
    ]
    for text in _PERCEPTIONS.value:
        picture = codec.decompress(data, perception=float(text))
        found.append((f"{len(data)} B, perception {text}", picture))
    return found


def colours(labels: np.ndarray) -> np.ndarray:
    """A label map in colours that are far apart, black where there is no class.

    Args:
        labels: uint8 [H,W].
    Returns: uint8 [H,W,3].
    """
    numbers = np.arange(256)
    bits = (
        numbers[:, None, None] >> (3 * np.arange(3)[None, :, None] + np.arange(3)) & 1
    )
    # The lowest bits of the class are the highest of the colours.
    table = 64 + (bits.transpose(0, 2, 1) @ np.array([96, 64, 31]))
    table[255] = 0
    return table[labels].astype(np.uint8)


def main(argv: list[str]) -> None:
    """Compresses and draws."""
    del argv
    codec = base.get_codec("semantic_enhanced", model=_MODEL.value)
    paths = panels.spread(images.list_images(_IMAGES.value), _ROWS.value)
    if not paths:
        raise SemCompError(f"{_IMAGES.value} holds no photos.")
    rows = [row(codec, path) for path in paths]
    images.write(_OUT.value, panels.draw_grid(rows, _SIDE.value))


if __name__ == "__main__":
    app.run(main)
