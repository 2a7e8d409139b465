"""Measure the recurrent codecs: rates, progress by iteration, times, training speed.

Paper:  arXiv 1910.03472; curves of others as quoted in anchor_data.
Run:    python recipes/benchmark_rnn.py --images=kodak --out=results/rnn --card
        python recipes/benchmark_rnn.py --parts=coding,training --images=kodak
Needs:  pip install tfsemcomp[bench]
Cost:   rates about 10 minutes on 2 cores, coding and training 5, on an idle machine.
Expect: OUT/rnn.json and, with `--card`, the figures in the models' cards; docs/rnn.md
        has those of the Kodak photos. Accuracy is recipes/evaluate_rnn.py's.

Parts:
  rates     sweeps of every rnn model, JPEG (Pillow, 4:2:0, optimised), WebP and AVIF;
            MS-SSIM and PSNR beside JPEG's at equal rates; pictures where an iteration
            makes either worse; bytes of each iteration over its packed bits
  coding    seconds to encode and decode a 256x256 picture at the best quality
  training  pictures a second of the train step of `--size` with features of VGG16
            (random weights), beside a naive one: a convolution for each gate, features
            and MS-SSIM of original and picture anew in each iteration
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfsemcomp
from tfsemcomp import images
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import (
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
_OUT = flags.DEFINE_string("out", "results/rnn", "Folder for the results.")
_CARD = flags.DEFINE_boolean("card", False, "Enter figures in the models' cards.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Processes of the sweep.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 7, "Runs whose median counts.", 1)
_SIZE = flags.DEFINE_string("size", "small-conv", "Of the timed train steps.")
_CROP = flags.DEFINE_integer("crop", 128, "Of the training step, pixels.")
_BATCH = flags.DEFINE_integer("batch", 4, "Of the training step.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "One picture, tiny networks, once.")

# What --smoke makes of the flags.
_SMALL = {"repeats": 1, "workers": 1, "size": "tiny", "crop": 64, "batch": 1}
_QUALITIES = {
    "jpeg": (2, 4, 6, 8, 10, 15, 20, 25, 30, 40, 50, 65, 80),
    "webp": (1, 3, 5, 10, 20, 30, 50, 65, 80),
    "avif": (5, 10, 15, 20, 30, 40, 50, 60, 70),
}
_METRICS = ("psnr", "ms_ssim")
# Up to here the models aim at more than JPEG.
_LOW_RATE = 0.4
_CODED_SIDE = 256
_LAYERS = ("block1_conv1", "block5_conv1")


def measure_rates(out: pathlib.Path, paths: list[pathlib.Path]) -> dict[str, Any]:
    """Sweeps all codecs over pictures and compares their curves."""
    models = [m for m in manifest.list_models() if m.system == "rnn"]
    if not models:
        raise SemCompError("no rnn model is installed; export one first.")
    codecs = [tfsemcomp.load(name) for name in _QUALITIES]
    codecs += [tfsemcomp.load(model.name) for model in models]
    rows: list[table.Row] = []
    for codec in codecs:
        low, high = codec.quality_range
        found = sweep.run_sweep(
            [codec],
            paths,
            out / "sweep" / (codec.model or codec.name),
            _QUALITIES.get(codec.name, range(int(low), int(high) + 1)),
            _METRICS,
            workers=_WORKERS.value,
            keep_files=False,
            resume=True,
        )
        failed = [row for row in found.rows if row.error]
        if failed:
            raise SemCompError(f"{codec.name}: {failed[0].image}: {failed[0].error}")
        rows += found.rows
    whole = table.Table(tuple(rows))
    own = {
        model.name: describe([r for r in rows if r.model == model.name], model)
        for model in models
    }
    return {
        "images": len({row.image for row in rows}),
        "models": own,
        "beside": {metric: beside(whole, metric) for metric in _METRICS},
    }


def describe(rows: list[table.Row], model: manifest.ModelInfo) -> dict[str, Any]:
    """Means of one model, where it fails to progress, and what its codes cost."""
    by_image: dict[str, list[table.Row]] = {}
    for row in sorted(rows, key=lambda row: row.quality):
        by_image.setdefault(row.image, []).append(row)
    worse = [
        {"image": image, "metric": metric, "quality": after.quality}
        for image, own in by_image.items()
        for metric in _METRICS
        for before, after in zip(own, own[1:], strict=False)
        if after.metrics[metric] <= before.metrics[metric]
    ]
    shares = [
        np.diff([row.size_bytes for row in own], prepend=0)
        / packed_bytes(own[0], model.card["codes"])
        for own in by_image.values()
    ]
    grid = list(zip(*by_image.values(), strict=True))
    return {
        "points": [
            {
                "quality": same[0].quality,
                "bpp": _mean(row.bpp for row in same),
                "encode_s": _mean(row.encode_s for row in same),
                "decode_s": _mean(row.decode_s for row in same),
                **{m: _mean(row.metrics[m] for row in same) for m in _METRICS},
            }
            for same in grid
        ],
        "not_better_than_the_iteration_before": worse,
        "bytes_over_packed_bits": np.mean(shares, axis=0).round(4).tolist(),
        "largest_bytes_over_packed_bits": np.max(shares, axis=0).round(4).tolist(),
    }


def packed_bytes(row: table.Row, codes: dict[str, int]) -> float:
    """Bytes of an iteration's bits with nothing saved and nothing around them."""
    cells = -(-row.width // codes["stride"]) * -(-row.height // codes["stride"])
    return cells * codes["channels"] / 8


def beside(whole: table.Table, metric: str) -> dict[str, Any]:
    """Each rnn curve beside the classical ones at its own rates.

    Only rates that a classical curve spans; in between it is interpolated.
    """
    found = {curve.name: curve for curve in curves.from_table(whole, metric)}
    result: dict[str, Any] = {}
    for name, curve in found.items():
        if not name.startswith("rnn"):
            continue
        rows = []
        for rate, value in zip(curve.rates, curve.values, strict=True):
            row = {"bpp": rate, name: value}
            for other in _QUALITIES:
                line = found[other]
                if line.rates[0] <= rate <= line.rates[-1]:
                    row[other] = float(np.interp(rate, line.rates, line.values))
            rows.append(row)
        low = [row for row in rows if row["bpp"] < _LOW_RATE and "jpeg" in row]
        result[name] = {
            "points": rows,
            f"least_above_jpeg_below_{_LOW_RATE}_bpp": min(
                (row[name] - row["jpeg"] for row in low), default=None
            ),
        }
    return result


def measure_coding(pixels: np.ndarray) -> dict[str, Any]:
    """Seconds to encode and decode the middle of a picture with each model."""
    top, left = ((side - _CODED_SIDE) // 2 for side in pixels.shape[:2])
    middle = pixels[top : top + _CODED_SIDE, left : left + _CODED_SIDE]
    if min(top, left) < 0:
        raise SemCompError(f"the first picture is smaller than {_CODED_SIDE} pixels.")
    found = {}
    for model in manifest.list_models():
        if model.system != "rnn":
            continue
        codec = tfsemcomp.load(model.name)
        best = codec.quality_range[1]
        data = codec.compress(middle, quality=best)
        found[model.name] = timing.seconds(
            {
                "encode_s": lambda c=codec, q=best: c.compress(middle, quality=q),
                "encode_unverified_s": lambda c=codec, q=best: c.compress(
                    middle, quality=q, verify=False
                ),
                "decode_s": lambda c=codec, d=data: c.decompress(d),
            },
            _REPEATS.value,
        )
    return found


def measure_training() -> dict[str, Any]:
    """Pictures a second of train steps, in turns, so that all see the same machine."""
    rng = np.random.default_rng(1)
    shape = (_BATCH.value, _CROP.value, _CROP.value, 3)
    batch = tf.constant(rng.integers(0, 256, shape, dtype=np.uint8))
    spent = timing.seconds(
        {
            "ours": own_step(batch, "float32"),
            "naive": naive_step(batch),
            "ours, mixed_bfloat16": own_step(batch, "mixed_bfloat16"),
        },
        _REPEATS.value,
    )
    rates = {name: _BATCH.value / value for name, value in spent.items()}
    return {
        "images_per_s": rates,
        "ratio": rates["ours"] / rates["naive"],
        "ratio_mixed_bfloat16": rates["ours, mixed_bfloat16"] / rates["naive"],
        "size": _SIZE.value,
        "batch": _BATCH.value,
        "crop": _CROP.value,
    }


def _vgg(precision: str) -> Callable[[Any], list[Any]]:
    """Features of VGG16 with random weights, which take as long as others."""
    from tfsemcomp import trunks

    tf.keras.mixed_precision.set_global_policy(precision)
    whole = tf.keras.applications.VGG16(
        weights=None, include_top=False, input_shape=(None, None, 3)
    )
    outputs = [whole.get_layer(name).output for name in _LAYERS]
    network = tf.keras.Model(whole.input, outputs)
    network.trainable = False
    tf.keras.mixed_precision.set_global_policy("float32")
    return lambda x: network(trunks.preprocess("vgg16", x), training=False)


def own_step(batch: Any, precision: str) -> Callable[[], Any]:
    """Our train step, for people and machines alike, on uint8 [B,H,W,3]."""
    from tfsemcomp.models import recurrent_autoencoder

    features = _vgg(precision)
    tf.keras.mixed_precision.set_global_policy(precision)
    model = recurrent_autoencoder.RecurrentAutoencoder(_SIZE.value, machine_weight=0.5)
    model.create_weights()
    model.compile(tf.keras.optimizers.Adam(4e-4), features)
    model.optimizer.build(model.trainable_variables)
    tf.keras.mixed_precision.set_global_policy("float32")
    return tf.function(lambda: model.train_step({"image": batch}))


def naive_step(batch: Any) -> Callable[[], Any]:
    """The paper's graph as one would write it down: an iteration after the other.

    Of the same size, with a convolution for each gate, and in each iteration features
    and MS-SSIM of the original and of its picture.
    """
    from tfsemcomp.losses import distortion
    from tfsemcomp.models import recurrent_autoencoder, recurrent_transforms

    size = recurrent_autoencoder.SIZES[_SIZE.value]
    coder = recurrent_transforms.ConvTransforms(size.encoder, size.decoder, size.bits)
    convolution = tf.keras.layers.Conv2D
    gates: dict[int, list[Any]] = {}
    for cell in (*coder.encoders, *coder.decoders):
        inputs = [
            convolution(cell.filters, cell.kernel, cell.strides, "same", use_bias=False)
            for _ in range(3)
        ]
        states = [
            convolution(cell.filters, cell.recurrent_kernel, 1, "same", use_bias=False)
            for _ in range(3)
        ]
        gates[id(cell)] = [*inputs, *states]

    def run(cell: Any, x: Any, state: Any) -> Any:
        reset_x, update_x, value_x, reset_h, update_h, value_h = gates[id(cell)]
        reset = tf.sigmoid(reset_x(x) + reset_h(state))
        update = tf.sigmoid(update_x(x) + update_h(state))
        value = tf.tanh(value_x(x) + value_h(reset * state))
        return update * value + (1 - update) * state

    features = _vgg("float32")
    optimizer = tf.keras.optimizers.Adam(4e-4)
    count, height, width = batch.shape[:3]
    grid = count, height // 16, width // 16

    def loss_of(iterations: int) -> Any:
        pixels = tf.cast(batch, tf.float32)
        source = coder.prepare(pixels)
        estimate = tf.zeros_like(source)
        encoder, decoder = coder.encoder_state(*grid), coder.decoder_state(*grid)
        total = 0.0
        for _ in range(iterations):
            x, encoder_after, decoder_after = coder.first(source - estimate), [], []
            for cell, state in zip(coder.encoders, encoder, strict=True):
                x = run(cell, x, state)
                encoder_after.append(x)
            x = recurrent_transforms.binarise(coder.to_bits(x), True, True)
            x = coder.from_bits(x)
            for cell, state in zip(coder.decoders, decoder, strict=True):
                x = run(cell, x, state)
                decoder_after.append(x)
                x = tf.nn.depth_to_space(x, 2)
            encoder, decoder = encoder_after, decoder_after
            estimate += coder.last(x)
            picture = coder.finish(estimate, 0, None)
            human = 5000 * (1 - tf.reduce_mean(distortion.ms_ssim(pixels, picture)))
            pairs = zip(features(pixels), features(picture), strict=True)
            machine = [tf.reduce_mean((a - b) ** 2) for a, b in pairs]
            total += 0.5 * human + 0.5 * tf.add_n(machine) / len(machine)
        return total / iterations

    loss_of(1)
    parts = [coder.first, coder.to_bits, coder.from_bits, coder.last]
    parts += [layer for own in gates.values() for layer in own]
    variables = [weight for part in parts for weight in part.trainable_variables]
    optimizer.build(variables)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(size.iterations)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return step


def write_cards(result: dict[str, Any]) -> None:
    """Enters each model's own points into its card."""
    common = {
        "command": "python recipes/benchmark_rnn.py --images=kodak --card",
        "data": f"{result['rates']['images']} Kodak photos, never trained on",
    }
    models = result["rates"]["models"]
    model_cards.enter_results({model: {**common, **models[model]} for model in models})


def _mean(values: Sequence[float]) -> float:
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
    result = benchmark_parts.measure(out / "rnn.json", _PARTS.value, parts)
    if _CARD.value and not _SMOKE.value:
        write_cards(result)


if __name__ == "__main__":
    app.run(main)
