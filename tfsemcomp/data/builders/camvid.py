"""CamVid: road scenes with a class at each pixel."""

from typing import Any

from tfsemcomp.data import items, planes
from tfsemcomp.data.builders import base


class Camvid(base.LayoutBuilder):
    """Frames of videos; neighbours look alike, so the splits must stay apart."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Put into manual_dir either images/SPLIT and labels/SPLIT, or train, trainannot, val,
    valannot, test, testannot as SegNet's version has them. Maps are PNGs of 12 indexes.
    """
    LAYOUT = "camvid"
    DESCRIPTION = "Frames of road scenes, 480x360 pixels, 11 classes and unlabelled."
    HOMEPAGE = "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/"
    CITATION = """\
    @article{brostow2009semantic,
      title={Semantic object classes in video: A high-definition ground truth database},
      author={Brostow, Gabriel J and Fauqueur, Julien and Cipolla, Roberto},
      journal={Pattern Recognition Letters}, volume={30}, number={2}, year={2009}
    }
    """

    def features(self) -> dict[str, Any]:
        """The picture and its classes."""
        return {"image": base.picture(), "segmentation_label": base.plane()}

    def example(self, item: items.Item) -> dict[str, Any]:
        """Its files."""
        labels = planes.read_label_map(item.label_map)
        return {"image": item.image, "segmentation_label": labels[..., None]}
