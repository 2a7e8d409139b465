"""Small result folders for the tests of what is made from them."""

import dataclasses
import math

from tests.harness import smooth_image
from tests.metrics import pictures
from tfsemcomp import images, metrics
from tfsemcomp.evaluation import sweep, table
from tfsemcomp.evaluation.table import Row, Table

NAMES = ("one.png", 'two </script><b> & "x".png')


def fill(folder, *, suffix: str = ".jpg") -> Table:
    """A result folder with two pictures, two codecs, two settings and a failure."""
    rows = []
    for index, name in enumerate(NAMES):
        pixels = smooth_image(48, 64, seed=index)
        roi_map = sweep_map(pixels)
        sweep.keep_picture(folder, name, pixels, roi_map)
        for codec, shift in (("jpeg", 0), ("msroi_jpeg", 1)):
            for quality in (30, 80):
                picture = pictures.jpeg(pixels, quality + shift)
                data = images.encode(pixels, "jpeg", quality=quality + shift)
                row = Row(
                    image=name,
                    codec=codec,
                    setting=f"quality={quality}",
                    quality=quality,
                    width=64,
                    height=48,
                    size_bytes=len(data),
                    metrics=metrics.measure(pixels, picture, roi_map=roi_map),
                )
                rows.append(sweep.keep_file(folder, row, data, suffix))
    rows[-1] = dataclasses.replace(
        rows[-1], metrics={**rows[-1].metrics, "psnr": math.inf}
    )
    rows.append(Row(NAMES[0], "webp", setting="quality=1", error="Boom: <i>bad</i>"))
    results = Table(tuple(rows))
    table.write(folder, results)
    return results


def sweep_map(pixels):
    """A map that is 1 in the left half."""
    roi_map = pixels[..., 0].astype("float32") * 0
    roi_map[:, :32] = 1
    return roi_map


def fill_kodak(folder) -> None:
    """24 made-up pictures: a codec twice as good as jpeg, and one of two points."""
    rows = []
    for number in range(1, 25):
        for codec, factor, settings in (
            ("jpeg", 2, range(1, 7)),
            ("good", 1, range(1, 7)),
            ("short", 1, range(1, 3)),
        ):
            for quality in settings:
                rows.append(
                    Row(
                        image=f"kodim{number:02}.png",
                        codec=codec,
                        setting=f"quality={quality}",
                        quality=quality,
                        width=768,
                        height=512,
                        size_bytes=factor * 4096 * 2**quality,
                        encode_s=0.01 * factor,
                        decode_s=0.02 * factor,
                        metrics={
                            "psnr": 24 + 3 * quality,
                            "ms_ssim": 1 - 0.2 * 0.5**quality,
                        },
                    )
                )
    table.write(folder, Table(tuple(rows)))
