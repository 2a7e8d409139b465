"""Flickr8k: photos with five captions each."""

from typing import Any

import tensorflow_datasets as tfds

from tfsemcomp.data import items
from tfsemcomp.data.builders import base


class Flickr8k(base.LayoutBuilder):
    """Splits of 6,000, 1,000 and 1,000 photos."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Unpack Flickr8k_Dataset.zip and Flickr8k_text.zip in manual_dir, which gives the
    folder Flicker8k_Dataset and text files such as Flickr8k.token.txt.
    """
    LAYOUT = "flickr8k"
    DESCRIPTION = "8,000 photos of people and animals doing something, with captions."
    HOMEPAGE = "https://hockenmaier.cs.illinois.edu/8k-pictures.html"
    CITATION = """\
    @article{hodosh2013framing,
      title={Framing Image Description as a Ranking Task},
      author={Hodosh, Micah and Young, Peter and Hockenmaier, Julia},
      journal={Journal of Artificial Intelligence Research}, volume={47}, year={2013}
    }
    """

    def features(self) -> dict[str, Any]:
        """The picture and its captions."""
        return {
            "image": base.picture("jpeg"),
            "captions": tfds.features.Sequence(tfds.features.Text()),
        }

    def example(self, item: items.Item) -> dict[str, Any]:
        """Its file and sentences."""
        return {"image": item.image, "captions": list(item.captions)}
