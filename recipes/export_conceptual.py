"""Export a trained conceptual codec as a SavedModel with its tables and its card.

Paper:  that of train_conceptual.py.
Run:    python recipes/export_conceptual.py --run=runs/conceptual \
            --name=conceptual-small --structure=method=canny \
            --primed=primed.npz --default
Cost:   one process, no training; it reads OUT of the run and no pictures.
Result: saved_models/conceptual-small/1 (signatures `analyze`, `synthesize`; tables.npz,
        primed.npz), card.json and MANIFEST.json.

`--structure` tells how the edges were found that the model was trained on: `method` of
semantics/edges.py and its options (`threshold`, `sigma`, `model`), which `compress`
then uses by itself. `--primed` is a file of recipes/prime_context_mixing.py for such
edges.
Signatures and what they take: `tfsemcomp.models.conceptual_module.ConceptualModule`.
"""

import pathlib
from collections.abc import Callable

import numpy as np
from absl import app, flags

from tfsemcomp.evaluation import model_cards, structure_flags
from tfsemcomp.models import conceptual, conceptual_module

_CARD = model_cards.define("conceptual")
_STRUCTURE = structure_flags.define()
_HALF = flags.DEFINE_boolean("half", False, "Weights of 16 bits: half the bytes.")


def extras() -> dict[str, Callable[[pathlib.Path], None]]:
    """Further files of the model: the primed coder, if there is one."""
    primed = _STRUCTURE.primed()
    if primed is None:
        return {}
    from tfsemcomp.entropy import context_mixing

    return {context_mixing.FILE_NAME: lambda path: context_mixing.save(path, primed)}


def main(argv: list[str]) -> None:
    """Writes model, tables, card and manifest."""
    del argv
    facts = _STRUCTURE.facts()
    model = conceptual.load_run(str(_CARD.run))
    path = conceptual_module.export_model(
        model, _CARD.root, _CARD.version, extras(), _HALF.value
    )
    exported = [*model.encoder.weights, *model.generator.weights]
    _CARD.write(
        path,
        parameters=sum(int(np.prod(weight.shape)) for weight in exported),
        latents=conceptual_module.latents(model, facts),
    )


if __name__ == "__main__":
    app.run(main)
