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

from absl import app, flags

from tfsemcomp.models import hyperprior
from tfsemcomp.training import fitting, recipe_flags

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
_FITTING = fitting.define()


def build_model(run: recipe_flags.Run) -> hyperprior.Hyperprior:
    """Makes the compiled model that the flags describe."""
    lmbdas = [float(text) for text in _LMBDA.value]
    model = hyperprior.Hyperprior(run.size, _VARIANT.value, lmbdas, _DISTORTION.value)
    _FITTING.start(model, run, hyperprior.load_run)
    model.compile(optimizer=_FITTING.optimizer(run))
    return model


def main(argv: list[str]) -> None:
    """Trains, evaluates and saves the model."""
    del argv
    fitting.fit(_TRAINING, build_model)


if __name__ == "__main__":
    app.run(main)
