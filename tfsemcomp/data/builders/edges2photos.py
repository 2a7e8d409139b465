"""edges2shoes, edges2handbags: photos with drawings of their edges."""

from typing import Any

import tensorflow_datasets as tfds

from tfsemcomp.data import items, preparation
from tfsemcomp.data.builders import base

# Each half as it is.
_KEEP = preparation.Preparation(height=0, width=0, encoding="png")


class Edges2photos(base.LayoutBuilder):
    """Files of two halves, taken apart; edges are 255 on black."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Unpack edges2shoes.tar.gz and edges2handbags.tar.gz of pix2pix in manual_dir, which
    gives edges2shoes/train, edges2shoes/val and so on.
    """
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="edges2shoes", description="Photos of shoes."),
        tfds.core.BuilderConfig(name="edges2handbags", description="Photos of bags."),
    ]
    DESCRIPTION = "Product photos of 256x256 pixels, each with a drawing of its edges."
    HOMEPAGE = "https://phillipi.github.io/pix2pix/"
    CITATION = """\
    @inproceedings{isola2017image,
      title={Image-to-Image Translation with Conditional Adversarial Networks},
      author={Isola, Phillip and Zhu, Jun-Yan and Zhou, Tinghui and Efros, Alexei A},
      booktitle={CVPR}, year={2017}
    }
    """

    @property
    def LAYOUT(self) -> str:  # noqa: N802
        """The layout has the configuration's name."""
        return self.builder_config.name

    def layout(self, manual_dir: str) -> items.Collection:
        """The files of the configuration, in a folder of its name."""
        return super().layout(f"{manual_dir}/{self.LAYOUT}")

    def features(self) -> dict[str, Any]:
        """The photo and its edges."""
        return {"image": base.picture("png"), "edges": base.plane()}

    def example(self, item: items.Item) -> dict[str, Any]:
        """The halves of its file."""
        record = preparation.prepare(item, _KEEP)
        return {"image": record.image, "edges": record.edges}
