"""Measure the hyperprior codecs: rates on Kodak, times and training speed.

Run:    python recipes/benchmark_hyperprior.py --images=kodak --out=results/hyperprior
        python recipes/benchmark_hyperprior.py --parts=coding,training --images=kodak
Paper:  arXiv 1802.01436; curves of its networks as quoted in anchor_data.
Needs:  pip install tfsemcomp[bench]; for the comparison of times also CompressAI and
        PyTorch, in this environment or in that of `--compressai_python`.
Cost:   rates about 10 minutes on 2 cores, coding 3, training 3; leave the machine idle.
Expect: docs/hyperprior.md has the figures of the Kodak photos.
Result: OUT/hyperprior.json and, with `--card`, the figures in the models' cards.

Parts:
  rates     sweeps of JPEG (Pillow, 4:2:0, optimised), WebP and every hyperprior model;
            BD-rate in PSNR and MS-SSIM against both, and against the quoted curves
  coding    seconds to encode and decode a picture with N=128, M=192, mean_scale and
            scale (random weights), beside CompressAI's bmshj2018_hyperprior
  training  pictures a second of the train step, beside the step of the published
            TensorFlow Compression example, built from tfc's stock layers: same N, M,
            batch and crop
"""

import json
import pathlib
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags

import tfsemcomp
from tfsemcomp import images
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import (
    anchors,
    bd_rate,
    benchmark_parts,
    curves,
    model_cards,
    sweep,
    table,
    timing,
)
from tfsemcomp.serving import manifest

_PARTS = flags.DEFINE_list("parts", ["rates"], "rates, coding, training.")
_IMAGES = flags.DEFINE_string("images", None, "Folder of test photos.", required=True)
_OUT = flags.DEFINE_string("out", "results/hyperprior", "Folder for the results.")
_CARD = flags.DEFINE_boolean("card", False, "Enter figures in the models' cards.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Processes of the sweep.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 7, "Runs whose median counts.", 1)
_N = flags.DEFINE_integer("N", 128, "Channels of the timed networks.")
_M = flags.DEFINE_integer("M", 192, "Channels of the timed networks' latents.")
_CROP = flags.DEFINE_integer("crop", 256, "Of the training step, pixels.")
_BATCH = flags.DEFINE_integer("batch", 8, "Of the training step.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "One picture, tiny networks, once.")
_COMPRESSAI = flags.DEFINE_string(
    "compressai_python", None, "Python that has CompressAI; None leaves it out."
)

# What --smoke makes of the flags.
_SMALL = {"repeats": 1, "workers": 1, "N": 8, "M": 12, "crop": 64, "batch": 1}
_JPEG_QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
_WEBP_QUALITIES = (1, 10, 30, 50, 70, 80, 90, 95)
_METRICS = ("psnr", "ms_ssim", "psnr_hvsm")
_FAMILY = "hyperprior-small-"

# Runs in the other environment: times CompressAI with random weights on one picture.
_COMPRESSAI_SCRIPT = """
import json, statistics, sys, time
import numpy as np, torch
from compressai.models import ScaleHyperprior
torch.manual_seed(1)
torch.set_num_threads(int(sys.argv[4]))
model = ScaleHyperprior(int(sys.argv[2]), int(sys.argv[3])).eval()
model.update(force=True)
pixels = np.load(sys.argv[1])
x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
encode, decode = [], []
with torch.no_grad():
    for _ in range(int(sys.argv[5]) + 1):
        start = time.perf_counter()
        coded = model.compress(x)
        middle = time.perf_counter()
        model.decompress(coded["strings"], coded["shape"])
        encode.append(middle - start)
        decode.append(time.perf_counter() - middle)
found = {"encode_s": statistics.median(encode[1:])}
print(json.dumps({**found, "decode_s": statistics.median(decode[1:])}))
"""


def measure_rates(out: pathlib.Path, paths: list[pathlib.Path]) -> dict[str, Any]:
    """Sweeps all codecs over pictures and compares their curves."""
    models = [m.name for m in manifest.list_models() if m.system == "hyperprior"]
    if not models:
        raise SemCompError("no hyperprior model is installed; export one first.")
    codecs = [tfsemcomp.load(name) for name in ("jpeg", "webp", *models)]
    rows = []
    for codec in codecs:
        name = codec.model or codec.name
        low, high = codec.quality_range
        qualities = {"jpeg": _JPEG_QUALITIES, "webp": _WEBP_QUALITIES}.get(
            name, tuple(range(int(low), int(high) + 1))
        )
        found = sweep.run_sweep(
            [codec],
            paths,
            out / "sweep" / name,
            qualities,
            _METRICS,
            workers=_WORKERS.value,
            keep_files=False,
            resume=True,
        )
        failed = [row for row in found.rows if row.error]
        if failed:
            raise SemCompError(f"{name}: {failed[0].image}: {failed[0].error}")
        rows += found.rows
    whole = table.Table(tuple(rows))
    return {
        "points": points(whole),
        "bd_rate": {name: compare(whole, name) for name in ("psnr", "ms_ssim")},
        "images": len({row.image for row in rows}),
    }


def points(found: table.Table) -> list[dict[str, Any]]:
    """Means over pictures of each codec, model and setting."""
    groups: dict[tuple, list[table.Row]] = {}
    for row in found.rows:
        groups.setdefault((row.codec, row.model, row.quality), []).append(row)
    return [
        {
            "codec": codec,
            "model": model,
            "quality": quality,
            "bpp": _mean(row.bpp for row in rows),
            "encode_s": _mean(row.encode_s for row in rows),
            "decode_s": _mean(row.decode_s for row in rows),
            **{name: _mean(row.metrics[name] for row in rows) for name in _METRICS},
        }
        for (codec, model, quality), rows in groups.items()
    ]


def compare(found: table.Table, metric: str) -> dict[str, dict[str, Any]]:
    """BD-rates of our models and of WebP against JPEG, WebP and quoted curves."""
    measured = {curve.name: curve for curve in curves.from_table(found, metric)}
    singles = [c for name, c in measured.items() if _FAMILY in name]
    tests = [c for name, c in measured.items() if _FAMILY not in name]
    if singles:
        tests.append(join(f"hyperprior {_FAMILY}*", singles))
    quoted = {c.name: c for c in anchors.curves("kodak", metric)}
    wanted = [name for name in quoted if "bmshj2018-hyperprior-8bit" in name]
    against = [measured["jpeg"], measured["webp"], *[quoted[name] for name in wanted]]
    result: dict[str, dict[str, Any]] = {}
    for cell in bd_rate.compare(against, tests):
        if cell.anchor is cell.test:
            continue
        value = {"refused": cell.reason}
        if cell.result is not None:
            value = {
                "percent": cell.result.percent,
                "from": cell.result.low,
                "to": cell.result.high,
            }
        result.setdefault(cell.test.name, {})[cell.anchor.name] = value
    return result


def join(name: str, singles: list[curves.Curve]) -> curves.Curve:
    """The curve of a family of models that have one point each."""
    pairs = sorted((c.rates[0], c.values[0]) for c in singles)
    return curves.Curve(
        name=name,
        metric=singles[0].metric,
        rates=tuple(rate for rate, _ in pairs),
        values=tuple(value for _, value in pairs),
        measured=True,
        source=singles[0].source,
        images=singles[0].images,
    )


def measure_coding(pixels: np.ndarray) -> dict[str, Any]:
    """Seconds to encode and decode one picture, ours and CompressAI's."""
    import os

    import tensorflow as tf

    from tfsemcomp.models import hyperprior, hyperprior_module

    found: dict[str, Any] = {"size": list(pixels.shape[:2])}
    size = hyperprior.HyperpriorSize("gdn", _N.value, _M.value)
    with tempfile.TemporaryDirectory() as folder:
        for variant in ("scale", "mean_scale"):
            tf.keras.utils.set_random_seed(1)
            model = hyperprior.Hyperprior(size, variant)
            model.create_weights()
            root = pathlib.Path(folder) / variant
            path = hyperprior_module.export_model(model, root)
            card = {
                "name": variant,
                "version": 1,
                "system": "hyperprior",
                "latents": hyperprior_module.latents(model),
            }
            manifest.add(pathlib.Path(folder), card, default=False)
            codec = tfsemcomp.load(path)
            data = codec.compress(pixels)
            works = {
                "encode_s": lambda c=codec: c.compress(pixels),
                "decode_s": lambda c=codec, d=data: c.decompress(d),
            }
            found[variant] = timing.seconds(works, _REPEATS.value)
        if _COMPRESSAI.value:
            array = pathlib.Path(folder) / "pixels.npy"
            np.save(array, pixels)
            threads = str(os.cpu_count())
            numbers = (str(_N.value), str(_M.value), threads, str(_REPEATS.value))
            command = [_COMPRESSAI.value, "-c", _COMPRESSAI_SCRIPT, str(array)]
            done = subprocess.run(
                [*command, *numbers], capture_output=True, text=True, check=False
            )
            if done.returncode:
                last = done.stderr.strip().splitlines()[-1:]
                raise SemCompError(f"`compressai_python` failed: {last}")
            found["compressai scale"] = json.loads(done.stdout)
    return found


def measure_training() -> dict[str, Any]:
    """Pictures a second of train steps, in turns, so that all see the same machine."""
    import tensorflow as tf

    from tfsemcomp.models import hyperprior

    rng = np.random.default_rng(1)
    shape = (_BATCH.value, _CROP.value, _CROP.value, 3)
    batch = tf.constant(rng.integers(0, 256, shape, dtype=np.uint8))
    size = hyperprior.HyperpriorSize("gdn", _N.value, _M.value)
    steps = {
        "ours": own_step(batch, size, "float32"),
        "tfc_reference": reference_step(batch),
        "ours, mixed_bfloat16": own_step(batch, size, "mixed_bfloat16"),
        "small": own_step(batch, "small", "float32"),
        "small, mixed_bfloat16": own_step(batch, "small", "mixed_bfloat16"),
    }
    spent = timing.seconds(steps, _REPEATS.value)
    rates = {name: _BATCH.value / seconds for name, seconds in spent.items()}
    return {
        "images_per_s": rates,
        "ratio": rates["ours"] / rates["tfc_reference"],
        "batch": _BATCH.value,
        "crop": _CROP.value,
    }


def own_step(batch: Any, size: Any, precision: str) -> Callable[[], Any]:
    """The train step of our scale hyperprior on a batch uint8 [B,H,W,3]."""
    import tensorflow as tf

    from tfsemcomp.models import hyperprior

    tf.keras.mixed_precision.set_global_policy(precision)
    model = hyperprior.Hyperprior(size, "scale")
    model.create_weights()
    model.compile(tf.keras.optimizers.Adam(1e-4, global_clipnorm=1.0))
    model.optimizer.build(model.trainable_variables)
    tf.keras.mixed_precision.set_global_policy("float32")
    return tf.function(lambda: model.train_step({"image": batch}))


def reference_step(batch: Any) -> Callable[[], Any]:
    """The step of the published bmshj2018 example, from tfc's stock layers.

    Signal convolutions with their default parameters, tfc.GDN, tfc's entropy models
    with additive noise and its optimizer: what a user of TensorFlow Compression runs.
    """
    import tensorflow as tf
    import tensorflow_compression as tfc

    n, m, scales = _N.value, _M.value, 64

    def down(filters: int, support: int, stride: int, activation: Any) -> Any:
        return tfc.SignalConv2D(
            filters,
            (support, support),
            corr=True,
            strides_down=stride,
            padding="same_zeros",
            use_bias=True,
            activation=activation,
        )

    def up(filters: int, support: int, stride: int, activation: Any) -> Any:
        return tfc.SignalConv2D(
            filters,
            (support, support),
            corr=False,
            strides_up=stride,
            padding="same_zeros",
            use_bias=True,
            activation=activation,
        )

    sequential = tf.keras.Sequential
    g_a = sequential(
        [*[down(n, 5, 2, tfc.GDN()) for _ in range(3)], down(m, 5, 2, None)]
    )
    g_s = sequential(
        [*[up(n, 5, 2, tfc.GDN(inverse=True)) for _ in range(3)], up(3, 5, 2, None)]
    )
    relu = tf.nn.relu
    h_a = sequential([down(n, 3, 1, relu), down(n, 5, 2, relu), down(n, 5, 2, None)])
    h_s = sequential([up(n, 5, 2, relu), up(n, 5, 2, relu), up(m, 3, 1, None)])
    low, high = np.log(0.11), np.log(256.0)
    y_model = tfc.LocationScaleIndexedEntropyModel(
        tfc.NoisyNormal,
        scales,
        lambda i: tf.exp(low + i * (high - low) / (scales - 1)),
        coding_rank=3,
        compression=False,
    )
    z_model = tfc.ContinuousBatchedEntropyModel(
        tfc.NoisyDeepFactorized(batch_shape=(n,)), coding_rank=3, compression=False
    )
    optimizer = tf.keras.optimizers.Adam(1e-4)
    networks = (g_a, g_s, h_a, h_s)
    y = g_a(tf.zeros([1, 64, 64, 3]))
    g_s(y)
    h_s(h_a(y))
    variables = [v for net in networks for v in net.trainable_variables]
    variables += list(z_model.trainable_variables)
    optimizer.build(variables)

    @tf.function
    def step() -> Any:
        x = tf.cast(batch, tf.float32)
        pixels = tf.cast(tf.size(x) / 3, tf.float32)
        with tf.GradientTape() as tape:
            y = g_a(x / 255)
            z = h_a(tf.abs(y))
            z_hat, z_bits = z_model(z, training=True)
            indexes = h_s(z_hat)
            y_hat, y_bits = y_model(y, indexes, training=True)
            x_hat = g_s(y_hat) * 255
            bpp = (tf.reduce_sum(y_bits) + tf.reduce_sum(z_bits)) / pixels
            loss = bpp + 0.01 * tf.reduce_mean(tf.math.squared_difference(x, x_hat))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return step


def write_cards(result: dict[str, Any]) -> None:
    """Enters each model's own points into its card."""
    points: dict[str, list[Any]] = {}
    for point in result["rates"]["points"]:
        points.setdefault(point["model"], []).append(point)
    common = {
        "command": "python recipes/benchmark_hyperprior.py --images=kodak --card",
        "data": f"{result['rates']['images']} Kodak photos, never trained on",
    }
    model_cards.enter_results(
        {model: {**common, "points": own} for model, own in points.items()}
    )


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


def main(argv: list[str]) -> None:
    """Runs the parts and writes their results."""
    del argv
    out, paths = pathlib.Path(_OUT.value), images.list_images(_IMAGES.value)
    if _SMOKE.value:
        out, paths = out / "smoke", paths[:1]
        for name, value in _SMALL.items():
            setattr(flags.FLAGS, name, value)
    parts = {
        "rates": lambda: measure_rates(out, paths),
        "coding": lambda: measure_coding(images.read(paths[0])),
        "training": measure_training,
    }
    result = benchmark_parts.measure(out / "hyperprior.json", _PARTS.value, parts)
    if _CARD.value and not _SMOKE.value:
        write_cards(result)


if __name__ == "__main__":
    app.run(main)
