"""The Kodak Lossless True Color Image Suite: 24 photos to judge codecs with."""

from typing import Any

from tfsemcomp.data import items
from tfsemcomp.data.builders import base


class Kodak(base.LayoutBuilder):
    """Photos in one split, "test"."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put kodim01.png to kodim24.png into manual_dir."
    LAYOUT = "kodak"
    DESCRIPTION = "24 photos of 768x512 or 512x768 pixels, scanned from film."
    HOMEPAGE = "https://r0k.us/graphics/kodak/"

    def features(self) -> dict[str, Any]:
        """The picture."""
        return {"image": base.picture("png")}

    def example(self, item: items.Item) -> dict[str, Any]:
        """Its file."""
        return {"image": item.image}
