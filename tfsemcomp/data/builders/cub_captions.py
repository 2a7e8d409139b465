"""CUB-200-2011 with captions: photos of birds, their species and what people say."""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tfsemcomp.data import items, layouts
from tfsemcomp.data.builders import base
from tfsemcomp.errors import SemCompError

_LAYOUTS = {"official": "cub200", "attngan": "cub200_attngan"}


class CubCaptions(base.LayoutBuilder):
    """Photos, species, boxes and ten captions each."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Put into manual_dir what CUB_200_2011.tgz holds (images.txt, images/, ...), the
    captions as text/CLASS/IMAGE.txt, a line each, and for configuration attngan
    trainvalclasses.txt and testclasses.txt.
    """
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(
            name="official", description="All species in both splits."
        ),
        tfds.core.BuilderConfig(
            name="attngan", description="150 species to train, 50 others to test."
        ),
    ]
    DESCRIPTION = "11,788 photos of 200 species of birds with captions in English."
    HOMEPAGE = "https://www.vision.caltech.edu/datasets/cub_200_2011/"
    CITATION = """\
    @techreport{wah2011caltech,
      title={The Caltech-UCSD Birds-200-2011 Dataset},
      author={Wah, C. and Branson, S. and Welinder, P. and Perona, P. and Belongie, S.},
      institution={California Institute of Technology}, number={CNS-TR-2011-001},
      year={2011}
    }
    @inproceedings{reed2016learning,
      title={Learning Deep Representations of Fine-Grained Visual Descriptions},
      author={Reed, Scott and Akata, Zeynep and Lee, Honglak and Schiele, Bernt},
      booktitle={CVPR}, year={2016}
    }
    """

    def layout(self, manual_dir: str) -> items.Collection:
        """The files, split as the configuration says; captions must be there."""
        collection = layouts.read(_LAYOUTS[self.builder_config.name], manual_dir)
        for held in collection.splits.values():
            for item in held.part(0, 1, seed=0):
                if not item.captions:
                    raise SemCompError(f"{item.name} has no captions in {manual_dir}.")
        return collection

    def features(self) -> dict[str, Any]:
        """The picture and what is known of it."""
        return {
            "image": base.picture("jpeg"),
            "label": tfds.features.ClassLabel(num_classes=200),
            "label_name": tfds.features.Text(),
            "captions": tfds.features.Sequence(tfds.features.Text()),
            "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        }

    def example(self, item: items.Item) -> dict[str, Any]:
        """Its values; the box is top, left, bottom, right in pixels."""
        return {
            "image": item.image,
            "label": item.label,
            "label_name": item.class_text,
            "captions": list(item.captions),
            "box": item.box,
        }
