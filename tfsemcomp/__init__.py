"""Semantic image compression in TensorFlow 2 and Keras.

    codec = tfsemcomp.load("msroi_jpeg")         # a codec or model name, or a path
    data = codec.compress(image, quality=60)     # uint8 [H,W,3] -> bytes
    image = tfsemcomp.decompress(data)           # finds the codec by the bytes

Importing this package imports neither TensorFlow nor numpy.
"""

from tfsemcomp import errors
from tfsemcomp.api import (
    compress,
    decompress,
    info,
    list_codecs,
    list_models,
    load,
)
from tfsemcomp.codecs.streaming import StreamDecoder
from tfsemcomp.version import __version__

__all__ = [
    "StreamDecoder",
    "__version__",
    "compress",
    "decompress",
    "errors",
    "info",
    "list_codecs",
    "list_models",
    "load",
]
