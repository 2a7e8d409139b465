"""A folder of tiny models for tests of the codec `rnn`."""

import pathlib

import numpy as np
import tensorflow as tf

from tests.codecs.learned_codecs import made_once
from tests.entropy.test_bit_network import random_network
from tests.models import recurrent_networks
from tfsemcomp.entropy import bit_contexts
from tfsemcomp.models import recurrent_module
from tfsemcomp.models.recurrent_autoencoder import RecurrentAutoencoder
from tfsemcomp.serving import manifest
from tfsemcomp.training import bit_predictor

# A fresh one is a progressive DCT codec: higher quality is better. The others have
# scattered weights, so that everything their pictures depend on shows.
DEFAULT = "dct"
MODELS = {
    DEFAULT: {"machine_weight": 0.0},
    "dial": {"cell": "lstm", "machine_weight": None, "scatter": 0.03},
    "conv": {
        "size": "tiny",
        "reconstruction": "oneshot",
        "machine_weight": 1.0,
        "scatter": 0.03,
    },
    "conv-lstm": {
        "size": "tiny",
        "cell": "lstm",
        "machine_weight": 0.5,
        "scatter": 0.03,
    },
}
ITERATIONS = 4


def write(root: pathlib.Path, names: tuple[str, ...] = tuple(MODELS)) -> None:
    """Exports the models called `names`, with card and manifest."""
    for name in names:
        model = a_model(name)
        contexts = _fitted(model) if name == DEFAULT else _random()
        recurrent_module.export_model(model, contexts, root / name)
        card = {
            "name": name,
            "version": 1,
            "system": "rnn",
            "codes": recurrent_module.facts(model),
        }
        manifest.add(root, card, default=name == DEFAULT)


folder = made_once(write)


def a_model(name: str) -> RecurrentAutoencoder:
    """The network of a model, the same each time."""
    return recurrent_networks.a_model(**MODELS[name])


def _fitted(model: RecurrentAutoencoder) -> bit_contexts.BitModel:
    """Contexts that make codes of smooth pictures shorter."""
    x = recurrent_networks.pictures(6, 96, 96)
    codes = model(tf.cast(x, tf.float32))["codes"].numpy().astype(np.int8)
    stops = np.random.default_rng(1).integers(1, ITERATIONS + 1, (6, 6, 6))
    return bit_predictor.fit(
        [*codes.swapaxes(0, 1)], [*stops], hidden=8, groups=2, steps=60, batch=32
    )


def _random() -> bit_contexts.BitModel:
    """Contexts that know nothing, and use all levels."""
    network = random_network(ITERATIONS, channels=32, shift=18)
    levels = np.random.default_rng(2).integers(26, 39, (ITERATIONS, 5, 6))
    return bit_contexts.BitModel(network, levels.astype(np.uint8))
