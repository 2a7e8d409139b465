"""What our builders share: they read a layout in `manual_dir`."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from tfsemcomp.data import items, layouts

Examples = Iterator[tuple[str, dict[str, Any]]]


class LayoutBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set whose splits and items are those of a layout.

    Attributes:
        LAYOUT: its name, see `layouts.read`.
        DESCRIPTION, HOMEPAGE, CITATION: of the data set.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First version."}
    LAYOUT: ClassVar[str]
    DESCRIPTION: ClassVar[str]
    HOMEPAGE: ClassVar[str]
    CITATION: ClassVar[str] = ""

    @abc.abstractmethod
    def features(self) -> dict[str, Any]:
        """TFDS features of an example; `file_name` is added."""

    @abc.abstractmethod
    def example(self, item: items.Item) -> dict[str, Any]:
        """The values of these features."""

    def layout(self, manual_dir: str) -> items.Collection:
        """The files of the data set."""
        return layouts.read(self.LAYOUT, manual_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {**self.features(), "file_name": tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            homepage=self.HOMEPAGE,
            citation=self.CITATION or None,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Examples]:
        collection = self.layout(str(dl_manager.manual_dir))
        return {
            split: self._generate_examples(held.part(0, 1, seed=0))
            for split, held in collection.splits.items()
        }

    def _generate_examples(self, held: Sequence[items.Item]) -> Examples:
        for item in held:
            yield item.name, {**self.example(item), "file_name": item.name}


def picture(encoding: str | None = None) -> tfds.features.Image:
    """An RGB picture of any size, stored as its file ("png", "jpeg")."""
    return tfds.features.Image(shape=(None, None, 3), encoding_format=encoding)


def plane() -> tfds.features.Image:
    """A map of any size with one number of 8 bits a pixel."""
    return tfds.features.Image(shape=(None, None, 1), encoding_format="png")
