"""Train a hyperprior codec: one rate, or one model for a range of rates.

Paper:  arXiv 1802.01436 (scale), 1809.02736 (mean_scale); `--size=small` has this
        project's transforms around a DCT, gains after arXiv 2003.02012.
Run:    python recipes/train_hyperprior.py --size=small --out=runs/hyperprior \
            --data=records/photos:train,records/bsds:train \
            --lmbda=.0018,.0035,.0067,.013,.025,.0483,.0932,.18
        python recipes/train_hyperprior.py --size=small --out=runs/hyperprior-2 \
            --init=runs/hyperprior --lmbda=.0067 --learning_rate=2e-4 --steps=500 ...
Cost:   the shipped `small`: 6,000 steps of 12 crops in 69 minutes on 2 shared cores;
        each model of one rate from there: 500 steps, 4 minutes.
Expect: docs/hyperprior.md has the figures: 39 % fewer bits than JPEG on Kodak.
Resume: the same command; it goes on from the newest checkpoint in --out.
Result: OUT/model.weights.h5 and OUT/run.json; then recipes/export_hyperprior.py.

Several values of `--lmbda` train one model whose quality 1, 2, ... has gains of its
own. `--init` names a run to start from: its weights are taken over, and where rates
differ, gains and conditions are interpolated between its rates. With
`--distortion=ms_ssim` lmbda weighs 1 - MS-SSIM; start from an MSE run then.
"""

import tensorflow as tf
from absl import app, flags, logging

from tfsemcomp.data import pipeline
from tfsemcomp.models import hyperprior, runs
from tfsemcomp.training import loop, recipe_flags, schedules, strategies

_TRAINING = recipe_flags.define(
    hyperprior.SIZES,
    size="small",
    crop=192,
    batch=12,
    steps=8000,
    learning_rate=1e-3,
    smoke_size="tiny-dct",
)
_VARIANT = flags.DEFINE_enum("variant", "mean_scale", hyperprior.VARIANTS, "Prior.")
_DISTORTION = flags.DEFINE_enum(
    "distortion", "mse", hyperprior.DISTORTIONS, "What lmbda weighs."
)
_LMBDA = flags.DEFINE_list("lmbda", ["0.013"], "Rising weights of the distortion.")
_CLIP = flags.DEFINE_float("clip", 1.0, "Largest norm of all gradients.")
_EMA = flags.DEFINE_float("ema_momentum", 0.999, "Averages weights; 0 doesn't.", 0, 1)
_INIT = flags.DEFINE_string("init", None, "Run to start from; not with --smoke.")


def build_model(run: recipe_flags.Run) -> hyperprior.Hyperprior:
    """Makes the compiled model that the flags describe."""
    lmbdas = [float(text) for text in _LMBDA.value]
    model = hyperprior.Hyperprior(run.size, _VARIANT.value, lmbdas, _DISTORTION.value)
    model.create_weights()
    if _INIT.value and not run.smoke:
        model.take_weights(hyperprior.load_run(_INIT.value))
    optimizer = tf.keras.optimizers.Adam(
        schedules.warm_cosine(run.learning_rate, run.steps),
        global_clipnorm=_CLIP.value,
        use_ema=_EMA.value > 0,
        ema_momentum=_EMA.value,
    )
    model.compile(optimizer=optimizer)
    return model


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the model."""
    del argv
    run = _TRAINING.read()
    plan = pipeline.Augmentation(
        crop=run.crop, min_area=0.34, max_aspect=1.0, colour=0.0, resized=0.5
    )
    validation = run.validation_batches()
    model = loop.fit(
        lambda: build_model(run),
        run.batches(plan),
        run.fit_config(),
        validation,
        sources=run.records,
    )
    result = loop.measure(model, validation)
    facts = {"flags": _TRAINING.values(), "validation": result}
    with strategies.writing_folder(model.distribute_strategy, run.out) as own:
        runs.save(model, own, facts)
    logging.info("validation: %s", result)


if __name__ == "__main__":
    app.run(main)
