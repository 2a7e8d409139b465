"""Draw the layers of `layered`: text, lines, their pictures, and the last one.

Paper:  IEEE TCSVT 33(8), 2023 (SCMC): pictures of each layer.
Run:    python recipes/figure_layered.py --images=DATA_DIR/captions/images --rows=8 \
            --out=docs/images/layered.png
Cost:   not timed on a free machine yet; one file a photo, decoded three times.
Expect: each picture is nearer to the photo than the one before; the text of a file is
        below its first layer, as far as it fits.
"""

import numpy as np
from absl import app, flags

from tfsemcomp import bitstream, images
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import panels

_IMAGES = flags.DEFINE_string("images", None, "Folder of photos.", required=True)
_OUT = flags.DEFINE_string("out", None, "Picture to write.", required=True)
_MODEL = flags.DEFINE_string("model", None, "Name or path; default: the shipped one.")
_QUALITY = flags.DEFINE_integer("quality", None, "Default: the codec's.")
_COLOUR = flags.DEFINE_boolean("colour", False, "Send colours, too.")
_ROWS = flags.DEFINE_integer("rows", 8, "How many photos.", 1)
_SIDE = flags.DEFINE_integer("side", 192, "Of a panel, pixels.", 32)
# Letters of a caption that fit below a panel, in pixels each.
_LETTER = 7


def row(codec: base.Codec, photo: np.ndarray) -> list[panels.Panel]:
    """The panels of a photo."""
    data = codec.compress(photo, quality=_QUALITY.value, colour=_COLOUR.value)
    sizes = [len(bitstream.truncate(data, layers)) for layers in (1, 2, 3)]
    one, two, three = (codec.decompress(data, layers=layers) for layers in (1, 2, 3))
    lines = codec.structure(data)
    told = f"{sizes[0]} B: {codec.caption(data)}"[: _SIDE.value // _LETTER]
    return [
        ("original", photo),
        (told, one),
        ("lines", panels.draw_lines(lines)),
        (f"{sizes[1]} B", two),
        (f"{sizes[2]} B", three),
    ]


def main(argv: list[str]) -> None:
    """Compresses and draws."""
    del argv
    codec = base.get_codec("layered", model=_MODEL.value)
    paths = panels.spread(images.list_images(_IMAGES.value), _ROWS.value)
    if not paths:
        raise SemCompError(f"{_IMAGES.value} holds no photos.")
    rows = [row(codec, images.read(path)) for path in paths]
    images.write(_OUT.value, panels.draw_grid(rows, _SIDE.value))


if __name__ == "__main__":
    app.run(main)
