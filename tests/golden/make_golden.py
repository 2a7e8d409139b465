"""Adds golden files for codecs and models that have none; old ones are never touched.

Run:    python -m tests.golden.make_golden
Result: NAME.v1.tfsc (or the codec's own suffix) and NAME.v1.png, what it decodes to.

A golden file is for ever: whoever reads a released format must go on reading it. Where
a format or model changes, give the new files another number and keep the old ones.
"""

import io
import pathlib

from PIL import Image

import tfsemcomp
from tests.harness import smooth_image
from tfsemcomp import images
from tfsemcomp.codecs import base

FOLDER = pathlib.Path(__file__).parent
VERSION = "v1"
SHAPE = (72, 88)
# Settings that reach all chunks of a codec's streams, by model.
SETTINGS = {
    "rnn-small-human": {"adaptive": "error"},
    "conceptual-small": {"residual": "jpeg"},
    "layered-small": {"caption": "A black dog runs.", "colour": True},
    "semantic-enhancer-small": {"mode": "segment"},
}


def main() -> None:
    """Writes what is missing."""
    for model in tfsemcomp.list_models():
        if model.system not in base.codec_names():
            continue
        codec = tfsemcomp.load(model.name)
        stem = f"{model.name}.{VERSION}"
        path = FOLDER / f"{stem}{codec.suffix}"
        if path.exists():
            continue
        data = codec.compress(smooth_image(*SHAPE), **SETTINGS.get(model.name, {}))
        stored = io.BytesIO()
        Image.fromarray(codec.decompress(data)).save(stored, "PNG", optimize=True)
        images.write_atomic(path, data)
        images.write_atomic(FOLDER / f"{stem}.png", stored.getvalue())
        print(f"{path.name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
