"""TFDS builders of data sets that TensorFlow Datasets lacks; importing registers them.

They read files that you put in `manual_dir`, through the layouts of
tfsemcomp/data/layouts.py. Pictures are stored as the bytes of their files.
"""

from tfsemcomp.data.builders.bsds500_boundaries import Bsds500Boundaries
from tfsemcomp.data.builders.camvid import Camvid
from tfsemcomp.data.builders.cub_captions import CubCaptions
from tfsemcomp.data.builders.edges2photos import Edges2photos
from tfsemcomp.data.builders.flickr8k import Flickr8k
from tfsemcomp.data.builders.kodak import Kodak

__all__ = (
    "Bsds500Boundaries",
    "Camvid",
    "CubCaptions",
    "Edges2photos",
    "Flickr8k",
    "Kodak",
)
