"""Train the recurrent codec for human observers, machine observers, or both.

Paper:  arXiv 1910.03472 (loss, iterations), arXiv 1608.05148 (architecture of `paper`,
        `small-conv` and `tiny`); `--size=small` puts the loop on a block DCT.
Run:    python recipes/train_rnn.py --size=small --out=runs/rnn --machine_weight=0 \
            --data=records/photos:train,records/bsds:train --beta=1
        python recipes/train_rnn.py --size=small --out=runs/rnn-machine \
            --init=runs/rnn --machine_weight=1 --features=FILE.npz ...
Cost:   `small`, two cores: about 9 crops of 128x128 a second without features.
Resume: the same command; it goes on from the newest checkpoint in --out.
Expect: OUT/model.weights.h5 and OUT/run.json; then recipes/export_rnn.py.

`--machine_weight` is 0 for human observers (5000 (1 - MS-SSIM)), 1 for machines (errors
of a frozen network's features), or `dial` for one model over the whole range, which a
file then tells its value. `--features` says where the frozen network's weights come
from: `imagenet` (downloaded by Keras) or an npz. `--beta` weighs the bits that a small
predictor needs for the codes: it makes them shorter when they are coded.
"""

from collections.abc import Callable

import tensorflow as tf
from absl import app, flags

from tfsemcomp.layers import conv_gru
from tfsemcomp.models import recurrent_autoencoder, teacher
from tfsemcomp.training import fitting, recipe_flags

DIAL = "dial"

_TRAINING = recipe_flags.define(
    recurrent_autoencoder.SIZES,
    size="small",
    crop=128,
    batch=8,
    steps=3000,
    learning_rate=4e-4,
    smoke_size="tiny-dct",
)
_CELL = flags.DEFINE_enum("cell", "gru", sorted(conv_gru.CELLS), "Recurrent cell.")
_RECONSTRUCTION = flags.DEFINE_enum(
    "reconstruction",
    "additive",
    recurrent_autoencoder.RECONSTRUCTIONS,
    "Whether iterations add to the picture or restate it.",
)
_WEIGHT = flags.DEFINE_string(
    "machine_weight", "0", "0 human to 1 machine, or `dial` for all in one model."
)
_FEATURES = flags.DEFINE_string("features", None, "`imagenet` or an npz of weights.")
_NETWORK = flags.DEFINE_enum(
    "feature_network", "vgg16", ("mobilenet", "vgg16"), "Whose features."
)
_LAYERS = flags.DEFINE_list(
    "feature_layers", ["block1_conv1", "block5_conv1"], "Layers that the loss compares."
)
_SCALE = flags.DEFINE_float("feature_scale", 1.0, "Weight of the features' error.")
_NORMALISE = flags.DEFINE_boolean(
    "normalise_features", False, "Let layers count alike, whatever their magnitude."
)
_POOLED = flags.DEFINE_float(
    "pooled_weight", 0.0, "Weight of the error of averaged features."
)
_ITERATIONS = flags.DEFINE_integer(
    "iterations", None, "Train the first ones only; then all, in another run.", 1
)
_EVEN = flags.DEFINE_boolean(
    "even_iterations", False, "Let iterations count alike, whatever their loss."
)
_BETA = flags.DEFINE_float(
    "beta", 0.0, "What a bit per pixel is worth, as a share of the loss."
)
_PIXELS = flags.DEFINE_float("pixel_weight", 0.0, "Weight of the squared error.")
_MASKED = flags.DEFINE_float("masked", 0.2, "Share of crops with stopped cells.", 0, 1)
_STOCHASTIC = flags.DEFINE_enum(
    "stochastic", "custom", ("custom", "yes", "no"), "Draw bits while training."
)
_FITTING = fitting.define()


def feature_network() -> Callable[[tf.Tensor], list[tf.Tensor]] | None:
    """The frozen network of the flags as a function, or None."""
    if _FEATURES.value is None or _TRAINING.read().smoke:
        return None
    return teacher.feature_function(_NETWORK.value, _FEATURES.value, _LAYERS.value)


def build_model(run: recipe_flags.Run) -> recurrent_autoencoder.RecurrentAutoencoder:
    """Makes the compiled model that the flags describe."""
    weight = None if _WEIGHT.value == DIAL else float(_WEIGHT.value)
    model = recurrent_autoencoder.RecurrentAutoencoder(
        run.size,
        _CELL.value,
        _RECONSTRUCTION.value,
        # Machines need features.
        machine_weight=0.0 if run.smoke else weight,
        beta=_BETA.value,
        pixel_weight=_PIXELS.value,
        stochastic={"custom": None, "yes": True, "no": False}[_STOCHASTIC.value],
        masked=_MASKED.value,
    )
    _FITTING.start(model, run, recurrent_autoencoder.load_run)
    optimizer = _FITTING.optimizer(run)
    model.compile(
        optimizer,
        feature_network(),
        _SCALE.value,
        _NORMALISE.value,
        _POOLED.value,
        _ITERATIONS.value,
        _EVEN.value,
    )
    return model


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the model."""
    del argv
    fitting.fit(_TRAINING, build_model)


if __name__ == "__main__":
    app.run(main)
