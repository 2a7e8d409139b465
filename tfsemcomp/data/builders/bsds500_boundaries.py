"""BSDS500: photos with the boundaries that people drew."""

from typing import Any

from tfsemcomp.data import items, planes
from tfsemcomp.data.builders import base


class Bsds500Boundaries(base.LayoutBuilder):
    """Boundaries are the mean of 4 to 9 people's, 255 where all drew one."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Unpack BSR_bsds500.tgz in manual_dir, or put images/SPLIT there with
    groundTruth/SPLIT (.mat) or boundaries/SPLIT (8-bit PNG).
    """
    LAYOUT = "bsds500"
    DESCRIPTION = "Photos of 481x321 or 321x481 pixels with boundaries drawn by people."
    HOMEPAGE = (
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/BSDS300/html/"
    )
    CITATION = """\
    @article{arbelaez2011contour,
      title={Contour Detection and Hierarchical Image Segmentation},
      author={Arbelaez, Pablo and Maire, Michael and Fowlkes, Charless and
              Malik, Jitendra},
      journal={IEEE TPAMI}, volume={33}, number={5}, year={2011}
    }
    """

    def features(self) -> dict[str, Any]:
        """The picture and its boundaries."""
        return {"image": base.picture(), "boundaries": base.plane()}

    def example(self, item: items.Item) -> dict[str, Any]:
        """Its files."""
        return {
            "image": item.image,
            "boundaries": planes.read_edges(item.edges)[..., None],
        }
