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

import json
import pathlib

from absl import app, flags

from tfsemcomp.evaluation import provenance
from tfsemcomp.models import hyperprior, hyperprior_module, runs
from tfsemcomp.serving import manifest

_RUN = flags.DEFINE_string("run", None, "train_hyperprior.py's folder.", required=True)
_NAME = flags.DEFINE_string("name", None, "Name of the model.", required=True)
_OUT = flags.DEFINE_string("out", "saved_models", "Folder of models.")
_VERSION = flags.DEFINE_integer("version", 1, "Version folder.", lower_bound=1)
_DEFAULT = flags.DEFINE_boolean("default", False, "Make it hyperprior's default.")
_KEEP = flags.DEFINE_boolean("keep_weights", False, "Keep weights to train on from.")
_SUMMARY = flags.DEFINE_string("summary", "", "What it is, for the card.")
_DATA = flags.DEFINE_multi_string("data", [], "name=terms, for the card; repeatable.")
_RECIPE = flags.DEFINE_multi_string(
    "recipe", [], "Command that trained it, for the card; repeatable."
)
_STEPS = flags.DEFINE_integer("steps", 0, "Optimizer steps, for the card.")
_IMAGES = flags.DEFINE_integer("images_seen", 0, "Crops seen, for the card.")


def main(argv: list[str]) -> None:
    """Writes model, tables, card and manifest."""
    del argv
    run = pathlib.Path(_RUN.value)
    model = hyperprior.load_run(str(run))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    flag_values = record["flags"]
    root = pathlib.Path(_OUT.value) / _NAME.value
    path = hyperprior_module.export_model(model, root, _VERSION.value)
    if _KEEP.value:
        runs.save(model, str(root / "run"), {})
    card = {
        "name": _NAME.value,
        "version": _VERSION.value,
        "system": "hyperprior",
        "summary": _SUMMARY.value,
        "parameters": model.count_params(),
        "network": record["network"],
        "latents": hyperprior_module.latents(model),
        "recipe": _RECIPE.value,
        "steps": _STEPS.value or flag_values["steps"],
        "images_seen": _IMAGES.value or flag_values["steps"] * flag_values["batch"],
        "data": dict(pair.split("=", 1) for pair in _DATA.value),
        "git_commit": provenance.commit(),
        "sha256": manifest.sha256(path / "saved_model.pb"),
        "results": {},
    }
    manifest.add(pathlib.Path(_OUT.value), card, _DEFAULT.value)
    print(json.dumps({"model": str(path), "parameters": card["parameters"]}))


if __name__ == "__main__":
    app.run(main)
