"""Train a hyperprior codec: one rate, or one model for a range of rates.

Paper:  arXiv 1802.01436 (scale), 1809.02736 (mean_scale); `--size=small` has this
        project's transforms around a DCT, gains after arXiv 2003.02012.
Run:    python recipes/train_hyperprior.py --size=small --out=runs/hyperprior \
            --data=records/photos:train,records/bsds:train \
            --lmbda=.0018,.0035,.0067,.013,.025,.0483,.0932,.18
        python recipes/train_hyperprior.py --size=small --out=runs/hyperprior-2 \
            --init=runs/hyperprior --lmbda=.0067 --learning_rate=2e-4 --steps=500 ...
Resume: the same command; it goes on from the newest checkpoint in --out.
Result: OUT/model.weights.h5 and OUT/run.json; then recipes/export_hyperprior.py.

Several values of `--lmbda` train one model whose quality 1, 2, ... has gains of its
own. `--init` names a run to start from: its weights are taken over, and where rates
differ, gains and conditions are interpolated between its rates. With
`--distortion=ms_ssim` lmbda weighs 1 - MS-SSIM; start from an MSE run then.
"""

import sys

import tensorflow as tf
from absl import app, flags, logging

from tfsemcomp.data import pipeline, records
from tfsemcomp.models import hyperprior
from tfsemcomp.training import loop

_DATA = flags.DEFINE_list("data", None, "folder:split pairs of records.", required=True)
_VALIDATION = flags.DEFINE_string("validation", None, "folder:split to measure on.")
_OUT = flags.DEFINE_string("out", None, "Folder of the run.", required=True)
_SIZE = flags.DEFINE_enum("size", "small", sorted(hyperprior.SIZES), "Size.")
_VARIANT = flags.DEFINE_enum("variant", "mean_scale", hyperprior.VARIANTS, "Prior.")
_DISTORTION = flags.DEFINE_enum(
    "distortion", "mse", hyperprior.DISTORTIONS, "What lmbda weighs."
)
_LMBDA = flags.DEFINE_list("lmbda", ["0.013"], "Rising weights of the distortion.")
_CROP = flags.DEFINE_integer("crop", 192, "Pixels, a multiple of the size's.")
_BATCH = flags.DEFINE_integer("batch", 12, "Images in a step, over all devices.")
_STEPS = flags.DEFINE_integer("steps", 8000, "Steps in all.")
_PIECE = flags.DEFINE_integer("steps_per_epoch", 500, "Steps between checkpoints.")
_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Peak; cosine to a hundredth.")
_CLIP = flags.DEFINE_float("clip", 1.0, "Largest norm of all gradients.")
_EMA = flags.DEFINE_float("ema_momentum", 0.999, "Averages weights; 0 doesn't.", 0, 1)
_INIT = flags.DEFINE_string("init", None, "Run to start from.")
_STRATEGY = flags.DEFINE_enum("strategy", "default", loop.STRATEGIES, "Devices.")
_PRECISION = flags.DEFINE_enum("precision", "float32", loop.PRECISIONS, "Policy.")
_SEED = flags.DEFINE_integer("seed", 1, "Fixes weights, order and augmentation.")


def build_model() -> hyperprior.Hyperprior:
    """Makes the compiled model that the flags describe."""
    lmbdas = [float(text) for text in _LMBDA.value]
    model = hyperprior.Hyperprior(
        _SIZE.value, _VARIANT.value, lmbdas, _DISTORTION.value
    )
    model.create_weights()
    if _INIT.value:
        model.take_weights(hyperprior.load_run(_INIT.value))
    warmup = min(100, _STEPS.value // 10)
    schedule = tf.keras.optimizers.schedules.CosineDecay(
        _RATE.value / 100,
        _STEPS.value - warmup,
        alpha=0.01,
        warmup_target=_RATE.value,
        warmup_steps=warmup,
    )
    optimizer = tf.keras.optimizers.Adam(
        schedule,
        global_clipnorm=_CLIP.value,
        use_ema=_EMA.value > 0,
        ema_momentum=_EMA.value,
    )
    model.compile(optimizer=optimizer)
    return model


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the model."""
    del argv
    sources = [records.parse_source(text) for text in _DATA.value]
    plan = pipeline.Augmentation(
        crop=_CROP.value, min_area=0.34, max_aspect=1.0, colour=0.0, resized=0.5
    )
    config = loop.FitConfig(
        out=_OUT.value,
        steps=_STEPS.value,
        steps_per_epoch=_PIECE.value,
        strategy=_STRATEGY.value,
        precision=_PRECISION.value,
        seed=_SEED.value,
    )

    def batches(step: int) -> tf.data.Dataset:
        return pipeline.training_batches(
            sources, _BATCH.value, plan, _SEED.value, start_step=step
        )

    validation = None
    if _VALIDATION.value:
        validation = pipeline.evaluation_batches(
            records.parse_source(_VALIDATION.value), 8, _CROP.value
        )
    model = loop.fit(build_model, batches, config, validation)
    result = model.evaluate(validation, return_dict=True) if validation else {}
    modules = flags.FLAGS.flags_by_module_dict()
    own = [*modules.get(__name__, []), *modules.get(sys.argv[0], [])]
    facts = {"flags": {flag.name: flag.value for flag in own}, "validation": result}
    hyperprior.save_run(model, _OUT.value, facts)
    logging.info("validation: %s", result)


if __name__ == "__main__":
    app.run(main)
