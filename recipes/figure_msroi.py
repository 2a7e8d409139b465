"""Draw the README's picture: a photo, its ROI map, plain JPEG and ours, bytes equal.

Paper:  arXiv 1612.08712 (the map); coded by this project's `msroi_jpeg`.
Run:    python recipes/figure_msroi.py --photo=recipes/demo_photos/NAME.png \
            --quality=20 --out=docs/images/msroi_jpeg.png
Cost:   one photo, coded twice.
Expect: the same bytes, and a higher PSNR where the map is high.

The two JPEGs have the same number of bytes (ours at most as many); the crop is the
square of `--crop` pixels where the map is highest, enlarged without smoothing.
"""

import numpy as np
from absl import app, flags
from PIL import Image, ImageDraw, ImageFont

import tfsemcomp
from tfsemcomp import images, metrics
from tfsemcomp.semantics import roi

_PHOTO = flags.DEFINE_string("photo", None, "Path of the photo.", required=True)
_OUT = flags.DEFINE_string("out", None, "Picture to write.", required=True)
_MAP = flags.DEFINE_string("map", None, "Method or mask; default: the model's.")
_QUALITY = flags.DEFINE_integer("quality", 20, "Of the plain JPEG.", 1, 100)
_CROP = flags.DEFINE_integer("crop", 112, "Side of the detail, pixels.", 16)
_SIDE = flags.DEFINE_integer("side", 320, "Side of a panel, pixels.", 64)
_CAPTION_HEIGHT = 22


def find_detail(found: np.ndarray, side: int) -> tuple[int, int]:
    """Top and left of the square with the highest mean of the map."""
    total = np.pad(found.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = (
        total[side:, side:]
        - total[:-side, side:]
        - total[side:, :-side]
        + total[:-side, :-side]
    )
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return int(top), int(left)


def draw_row(panels: list[tuple[str, np.ndarray]], side: int) -> np.ndarray:
    """Puts square panels with captions beside each other: uint8 [H,W,3]."""
    width = len(panels) * (side + 4) - 4
    row = Image.new("RGB", (width, side + _CAPTION_HEIGHT), "white")
    draw = ImageDraw.Draw(row)
    for number, (caption, pixels) in enumerate(panels):
        x = number * (side + 4)
        resample = Image.Resampling.NEAREST
        if max(pixels.shape[:2]) > side:
            resample = Image.Resampling.LANCZOS
        row.paste(Image.fromarray(pixels).resize((side, side), resample), (x, 0))
        font = ImageFont.load_default(13)
        draw.text((x + 2, side + 3), caption, fill="black", font=font)
    return np.asarray(row)


def main(argv: list[str]) -> None:
    """Compresses, crops and draws."""
    del argv
    pixels = images.read(_PHOTO.value)
    found = roi.resolve_map(_MAP.value, pixels)
    jpeg, ours = tfsemcomp.load("jpeg"), tfsemcomp.load("msroi_jpeg")
    plain_file = jpeg.compress(pixels, quality=_QUALITY.value)
    our_file = ours.compress(pixels, target_bytes=len(plain_file), map=found)
    plain, better = jpeg.decompress(plain_file), ours.decompress(our_file)
    top, left = find_detail(found, _CROP.value)
    window = np.s_[top : top + _CROP.value, left : left + _CROP.value]
    whole = roi.overlay(pixels, found)
    short = min(whole.shape[:2])
    y, x = ((n - short) // 2 for n in whole.shape[:2])
    scores = [metrics.roi_psnr(pixels, image, found) for image in (plain, better)]
    panels = [
        ("ROI map over the photo", whole[y : y + short, x : x + short]),
        ("original, detail", pixels[window]),
        (f"JPEG: {len(plain_file)} B, ROI {scores[0]:.2f} dB", plain[window]),
        (f"tfsemcomp: {len(our_file)} B, ROI {scores[1]:.2f} dB", better[window]),
    ]
    images.write(_OUT.value, draw_row(panels, _SIDE.value))


if __name__ == "__main__":
    app.run(main)
