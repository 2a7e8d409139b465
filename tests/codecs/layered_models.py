"""A folder of tiny models for tests of the codec `layered`: rules, and one network.

A text paints a slope of grey whose level its words and its noise choose. The structure
darkens lines by `DARK`, and brightens all by `BRIGHT` where there are words. The signal
is a hyperprior model of what is missing of the base picture; of the default model that
is a DCT codec, so that higher quality is better.

The captioner says one of `COLOURS` by the mean grey level, then `REST`.
"""

import pathlib

import tensorflow as tf

from tests.codecs.learned_codecs import made_once
from tests.harness import smooth_image
from tests.models.hyperprior_networks import a_model, lively
from tfsemcomp.codecs import layered_model
from tfsemcomp.entropy import context_mixing, tables, text
from tfsemcomp.models import hyperprior_module
from tfsemcomp.semantics import edges, vocabulary
from tfsemcomp.serving import export, manifest

RESOLUTION = 32
NOISE = 5
WORDS = 6
DARK = 40
BRIGHT = 3
COLOURS = ("black", "dark", "bright", "white")
REST = ("dog", "runs")
CAPTIONS = tuple(f"A {colour} dog runs." for colour in COLOURS) * 3
VOCABULARY = vocabulary.build(CAPTIONS)
# Name -> hyperprior's size, lmbdas, seeds, primed.
DEFAULT = "seeds"
LMBDAS = tuple(layered_model.PRESETS.values())
MODELS = {
    DEFAULT: ("tiny-dct", LMBDAS, True, True),
    "plain": ("tiny", (0.013,), False, False),
}


def write(root: pathlib.Path) -> None:
    """Exports all models, with card and manifest."""
    for name, (size, lmbdas, text_seed, primed) in MODELS.items():
        signal = a_model(size, "mean_scale", lmbdas)
        if name != DEFAULT:
            signal = lively(signal)
        built = hyperprior_module.tables(signal)
        extras = {
            tables.FILE_NAME: lambda path, built=built: tables.save(path, built),
            vocabulary.FILE_NAME: lambda path: vocabulary.save(path, VOCABULARY),
            text.FILE_NAME: lambda path: text.save(path, text_model()),
        }
        if primed:
            extras[context_mixing.FILE_NAME] = _write_primed
        export.export(_signatures(signal), root / name, extras=extras)
        latents = hyperprior_module.latents(signal)
        card = {
            "name": name,
            "version": 1,
            "system": "layered",
            "layered": {
                "resolution": RESOLUTION,
                "noise": NOISE,
                "words": WORDS,
                "lmbdas": lmbdas,
                "multiple": 64,
                "structure": {"method": "canny", "sigma": 1.5},
                "version": "v2",
                "text_seed": text_seed,
                "latents": latents,
            },
        }
        manifest.add(root, card, default=name == DEFAULT)


folder = made_once(write)


def text_model() -> text.TextModel:
    """Tables of the captions above."""
    return text.build(CAPTIONS, VOCABULARY)


def _write_primed(path: pathlib.Path) -> None:
    planes = [
        edges.downscale(edges.extract(smooth_image(96, 96, seed), sigma=1.5), 2)
        for seed in range(3)
    ]
    context_mixing.save(path, context_mixing.prime(planes, 2))


def _signatures(signal) -> dict:
    parts = hyperprior_module.HyperpriorModule(signal).signatures()
    many = len(signal.lmbdas) > 1
    numbers = [VOCABULARY.numbers[word] for word in COLOURS + REST]
    pictures = tf.TensorSpec([None, None, None, 3], tf.float32, "images")
    base = tf.TensorSpec([None, None, None, 3], tf.float32, "base")
    lines = tf.TensorSpec([None, None, None, 1], tf.float32, "structure")
    words = tf.TensorSpec([None, WORDS], tf.int32, "words")
    noise = tf.TensorSpec([None, NOISE], tf.float32, "noise")
    state = tf.TensorSpec([None, 2], tf.float32, "state")
    begun = tf.TensorSpec([None, None], tf.int32, "words")
    length = tf.TensorSpec([None], tf.int32, "length")
    quality = tf.TensorSpec([None], tf.int32, "quality")
    z = tf.TensorSpec([None, None, None, signal.size.hyper_channels], tf.int32, "z")
    y_hat = tf.TensorSpec([None, None, None, signal.size.channels], tf.float32, "y_hat")

    def extra(number):
        return [tf.cast(number, tf.float32) + 1] if many else []

    @tf.function(input_signature=[pictures])
    def describe(images):
        mean = tf.reduce_mean(images, [1, 2, 3])
        deviation = tf.math.reduce_std(images, [1, 2, 3])
        return {"state": tf.stack([mean, deviation], axis=-1)}

    @tf.function(input_signature=[state, begun, length])
    def next_word(state, words, length):
        colour = tf.cast(tf.clip_by_value(state[:, 0] / 64, 0, 3), tf.int32)
        first = tf.gather(numbers[:4], colour)
        others = tf.constant([0, 0, *numbers[4:], vocabulary.END, 0, 0])
        following = tf.gather(others, tf.minimum(length, 6))
        chosen = tf.where(length <= 1, first, following)
        del words
        return {"logits": 9 * tf.one_hot(chosen, len(VOCABULARY))}

    @tf.function(input_signature=[words, noise])
    def synthesize_text(words, noise):
        sums = tf.cast(tf.reduce_sum(words, axis=1), tf.float32)
        level = 60 + 9 * sums + 12 * noise[:, 0] + noise[:, -1]
        slope = tf.linspace(0.0, 31.0, RESOLUTION)
        painted = level[:, None, None] + slope[None, :, None] - slope[None, None]
        return {"images": tf.repeat(painted[..., None], 3, axis=-1)}

    @tf.function(input_signature=[lines, base, words])
    def synthesize_structure(structure, base, words):
        bright = BRIGHT * tf.cast(words[:, 0] > 0, tf.float32)
        return {"images": base - DARK * structure + bright[:, None, None, None]}

    @tf.function(input_signature=[pictures, base, lines, quality])
    def analyze(images, base, structure, quality):
        missing = images - base + 127.5 + 0 * structure
        return parts["analyze"](missing, *extra(quality))

    @tf.function(input_signature=[z, quality])
    def hyper_synthesis(z, quality):
        return parts["hyper_synthesis"](z, *extra(quality))

    @tf.function(input_signature=[y_hat, base, lines, quality])
    def synthesize(y_hat, base, structure, quality):
        painted = parts["synthesize"](y_hat, *extra(quality))["images"]
        return {"images": painted + base - 127.5 + 0 * structure}

    return {
        "describe": describe,
        "next_word": next_word,
        "synthesize_text": synthesize_text,
        "synthesize_structure": synthesize_structure,
        "analyze": analyze,
        "hyper_synthesis": hyper_synthesis,
        "synthesize": synthesize,
    }
