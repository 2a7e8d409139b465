"""Draw what `conceptual` makes of photos, beside other codecs or with other textures.

Paper:  ICIP 2019 and arXiv 2011.04976: pictures at extreme rates, and texture swaps.
Run:    python recipes/figure_conceptual.py --images=DATA_DIR/pairs/photo/test \
            --rows=10 --out=docs/images/conceptual.png
        python recipes/figure_conceptual.py --kind=swaps --rows=6 --images=... --out=...
Cost:   not timed on a free machine yet; a file of each codec for each photo.
Expect: other codecs cannot make files so small, or only with blocks and blur.

Kinds:
  codecs         original, lines sent, ours, then each of `--codecs` at the same bytes
                 at most; where a codec has no file so small, its smallest
  swaps          a square: lines of the row's photo, texture of the column's
  interpolation  from the texture of each photo to that of the next one
"""

import numpy as np
from absl import app, flags

import tfsemcomp
from tfsemcomp import images
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import panels

_IMAGES = flags.DEFINE_string("images", None, "Folder of photos.", required=True)
_OUT = flags.DEFINE_string("out", None, "Picture to write.", required=True)
_KIND = flags.DEFINE_enum(
    "kind", "codecs", ["codecs", "swaps", "interpolation"], "What to draw."
)
_MODEL = flags.DEFINE_string("model", None, "Name or path; default: the shipped one.")
_QUALITY = flags.DEFINE_integer("quality", None, "Of conceptual; default: the codec's.")
_CODECS = flags.DEFINE_list("codecs", ["jpeg", "webp", "avif"], "To draw beside it.")
_ROWS = flags.DEFINE_integer("rows", 10, "How many photos.", 1)
_FRAMES = flags.DEFINE_integer("frames", 6, "Of interpolation.", 2)
_MODE = flags.DEFINE_enum("mode", "linear", ["linear", "slerp"], "Of interpolation.")
_SIDE = flags.DEFINE_integer("side", 160, "Of a panel, pixels.", 32)


def at_most(codec: base.Codec, pixels: np.ndarray, size: int) -> tuple[str, np.ndarray]:
    """The panel of a codec's best file of so many bytes, or of its smallest."""
    note = ""
    try:
        data = codec.compress(pixels, target_bytes=size)
    except SemCompError:
        data, note = codec.compress(pixels, quality=codec.quality_range[0]), ", least"
    return f"{codec.name} {len(data)} B{note}", codec.decompress(data)


def main(argv: list[str]) -> None:
    """Compresses, edits and draws."""
    del argv
    ours = base.get_codec("conceptual", model=_MODEL.value)
    paths = panels.spread(images.list_images(_IMAGES.value), _ROWS.value)
    if not paths:
        raise SemCompError(f"{_IMAGES.value} holds no photos.")
    photos = [images.read(path) for path in paths]
    files = [ours.compress(photo, quality=_QUALITY.value) for photo in photos]
    rows: list[list[panels.Panel]] = []
    if _KIND.value == "codecs":
        others = [tfsemcomp.load(name) for name in _CODECS.value]
        for photo, data in zip(photos, files, strict=True):
            rows.append(
                [
                    ("original", photo),
                    ("lines", panels.draw_lines(ours.structure(data))),
                    (f"ours {len(data)} B", ours.decompress(data)),
                    *(at_most(codec, photo, len(data)) for codec in others),
                ]
            )
    elif _KIND.value == "swaps":
        blank = np.full_like(photos[0], 255)
        rows.append([("", blank), *(("texture", photo) for photo in photos)])
        for photo, data in zip(photos, files, strict=True):
            swapped = [ours.swap_texture(data, other) for other in files]
            painted = [(f"{len(s)} B", ours.decompress(s)) for s in swapped]
            rows.append([("lines of", photo), *painted])
    else:
        for first, last in zip(files, [*files[1:], files[0]], strict=True):
            found = ours.interpolate(first, last, _FRAMES.value, mode=_MODE.value)
            shares = np.linspace(0, 100, len(found))
            rows.append(
                [
                    (f"{share:.0f} %", ours.decompress(data))
                    for share, data in zip(shares, found, strict=True)
                ]
            )
    images.write(_OUT.value, panels.draw_grid(rows, _SIDE.value))


if __name__ == "__main__":
    app.run(main)
