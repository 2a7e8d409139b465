"""Export a trained hyperprior as a SavedModel with its tables and its card.

Paper:  that of train_hyperprior.py.
Run:    python recipes/export_hyperprior.py --run=runs/hyperprior \
            --name=hyperprior-small --default
Cost:   one process, no training; it reads OUT of the run and no pictures.
Result: saved_models/hyperprior-small/1 (signatures `analyze`, `hyper_synthesis`,
        `synthesize`, tables.npz), card.json and MANIFEST.json; with `--keep_weights`
        also saved_models/hyperprior-small/run, which train_hyperprior.py takes as
        `--init`. Then recipes/benchmark_hyperprior.py measures the model and enters
        the figures in the card.

Signatures and what they take: `tfsemcomp.models.hyperprior_module.HyperpriorModule`.
"""

from absl import app, flags

from tfsemcomp.evaluation import model_cards
from tfsemcomp.models import hyperprior, hyperprior_module, runs

_CARD = model_cards.define("hyperprior")
_KEEP = flags.DEFINE_boolean("keep_weights", False, "Keep weights to train on from.")


def main(argv: list[str]) -> None:
    """Writes model, tables, card and manifest."""
    del argv
    model = hyperprior.load_run(str(_CARD.run))
    path = hyperprior_module.export_model(model, _CARD.root, _CARD.version)
    if _KEEP.value:
        runs.save(model, str(_CARD.root / "run"), {})
    _CARD.write(
        path,
        parameters=model.count_params(),
        latents=hyperprior_module.latents(model),
    )


if __name__ == "__main__":
    app.run(main)
