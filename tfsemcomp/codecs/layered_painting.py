"""The pictures of the layers of `layered`, from what their chunks say.

    text, noise --synthesize_text--> square --resize, colours--> base1
    base1, lines, text --synthesize_structure--> colours --> base2

Pictures are whole numbers between the layers, so that rounding hides most of what
differs between machines. What is left moves pixels and never a symbol.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfsemcomp.codecs import learned

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.codecs.layered_model import Model

# Candidates of seeds that are painted at once.
_BATCH = 32
_GREY = 127.5


@dataclasses.dataclass(frozen=True)
class Text:
    """What layer 0 says.

    Attributes:
        caption: to paint.
        seed: of the noise; None of models without.
    """

    caption: str
    seed: int | None

    def noise(self, count: int) -> np.ndarray:
        """What goes with the words: float32 [count], unit Gaussian.

        Philox numbers by Box and Muller's rule in float64, since neither depends on
        the version of NumPy.
        """
        import numpy as np

        seed = b"" if self.seed is None else bytes([self.seed])
        digest = hashlib.sha256(self.caption.encode("utf-8") + seed).digest()
        generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
        pairs = -(-count // 2)
        raw = generator.random_raw(2 * pairs) >> np.uint64(11)
        uniform = (raw.astype(np.float64) + 0.5) * 2.0**-53
        length = np.sqrt(-2 * np.log(uniform[:pairs]))
        angle = 2 * np.pi * uniform[pairs:]
        normal = np.concatenate([length * np.cos(angle), length * np.sin(angle)])
        return normal[:count].astype(np.float32)


def best_seed(model: Model, image: np.ndarray, caption: str, count: int) -> Text:
    """The text with the seed whose picture the captioner takes for most alike.

    Args:
        model: that sends seeds.
        image: uint8 [H,W,3].
        caption: of it.
        count: how many seeds to try, 0 to count - 1.
    Returns: the text with the seed of the least squared distance between the states of
        `describe`; the first of several.
    """
    import numpy as np

    candidates = [Text(caption, seed) for seed in range(count)]
    if count == 1:
        return candidates[0]
    wanted = model.runner.call("describe", images=image[None].astype(np.float32))
    distances = []
    for start in range(0, count, _BATCH):
        painted = _synthesize_text(model, candidates[start : start + _BATCH])
        found = model.runner.call("describe", images=painted)["state"]
        distances.append(np.square(found - wanted["state"]).sum(axis=1))
    return candidates[int(np.argmin(np.concatenate(distances)))]


def paint(
    model: Model,
    texts: Sequence[Text | None],
    colours: Sequence[np.ndarray | None],
    lines: np.ndarray | None,
    size: tuple[int, int],
) -> np.ndarray:
    """The pictures of the layers before the signal.

    Args:
        model: see there.
        texts: all or none None, for which the picture is middle grey.
        colours: a thumbnail for each, or None.
        lines: uint8 [B,H,W] of 0 and 1; None for the pictures of layer 0.
        size: H and W.
    Returns: float32 [B,H,W,3], 0 to 255.
    """
    pictures = paint_text(model, texts, colours, *size)
    if lines is None:
        return pictures
    return paint_structure(model, pictures, lines, texts, colours)


def paint_text(
    model: Model,
    texts: Sequence[Text | None],
    colours: Sequence[np.ndarray | None],
    height: int,
    width: int,
) -> np.ndarray:
    """The pictures of layer 0.

    Args:
        model: see there.
        texts: all or none None, for which the picture is middle grey.
        colours: a thumbnail for each, or None.
        height, width: of the pictures.
    Returns: float32 [B,H,W,3], 0 to 255.
    """
    import numpy as np

    pictures = np.full((len(texts), height, width, 3), _GREY, np.float32)
    if texts[0] is not None:
        painted = np.clip(_synthesize_text(model, texts), 0, 255)
        pictures = np.stack([_resize(picture, height, width) for picture in painted])
        pictures = np.rint(pictures)
    return _corrected(pictures, colours)


def _synthesize_text(model: Model, texts: Sequence[Text]) -> np.ndarray:
    """Pictures float32 [B,resolution,resolution,3]."""
    import numpy as np

    noise = np.stack([text.noise(model.noise) for text in texts])
    return model.runner.call(
        "synthesize_text", words=_words(model, texts), noise=noise
    )["images"]


def paint_structure(
    model: Model,
    pictures: np.ndarray,
    lines: np.ndarray,
    texts: Sequence[Text | None],
    colours: Sequence[np.ndarray | None],
) -> np.ndarray:
    """The pictures of layer 1.

    Args:
        model: see there.
        pictures: of layer 0, float32 [B,H,W,3].
        lines: uint8 [B,H,W] of 0 and 1.
        texts, colours: as of `paint_text`.
    Returns: float32 [B,H,W,3], whole numbers from 0 to 255.
    """
    import numpy as np

    height, width = lines.shape[1:]
    painted = model.runner.call(
        "synthesize_structure",
        **conditions(model, pictures, lines),
        words=_words(model, texts),
    )["images"]
    painted = painted[:, :height, :width]
    return _corrected(np.rint(np.clip(painted, 0, 255)), colours)


def _corrected(
    pictures: np.ndarray, colours: Sequence[np.ndarray | None]
) -> np.ndarray:
    """Pictures with the colours of their thumbnails, where they have any."""
    import numpy as np

    from tfsemcomp.codecs import layered_colour

    return np.stack(
        [
            picture
            if thumbnail is None
            else np.rint(np.clip(layered_colour.correct(picture, thumbnail), 0, 255))
            for picture, thumbnail in zip(pictures, colours, strict=True)
        ]
    )


def conditions(
    model: Model, pictures: np.ndarray, lines: np.ndarray | None
) -> dict[str, np.ndarray]:
    """What networks see of the layers before: pictures and lines, padded."""
    import numpy as np

    if lines is None:
        lines = np.zeros(pictures.shape[:3], np.uint8)
    padded = learned.pad(lines[..., None], model.multiple)
    return {
        "base": learned.pad(pictures, model.multiple).astype(np.float32),
        "structure": padded.astype(np.float32),
    }


def _words(model: Model, texts: Sequence[Text | None]) -> np.ndarray:
    """Numbers of words, int32 [B,T]; 0 without a text."""
    import numpy as np

    rows = np.zeros((len(texts), model.words), np.int32)
    for row, text in zip(rows, texts, strict=True):
        if text is not None:
            row[:] = model.vocabulary.ids(text.caption, model.words)
    return rows


def _resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 [h,w,3] -> [height,width,3], smooth in both directions."""
    import numpy as np
    from PIL import Image

    if picture.shape[:2] == (height, width):
        return picture
    planes = [
        Image.fromarray(np.ascontiguousarray(plane)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for plane in np.moveaxis(picture.astype(np.float32), -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
