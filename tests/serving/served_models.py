"""A folder of models for tests of the client: of each codec that runs any."""

import pathlib
import shutil
import tempfile

from tests.codecs import (
    conceptual_models,
    hyperprior_models,
    layered_models,
    rnn_models,
    semantic_models,
)
from tests.codecs.learned_codecs import made_once
from tfsemcomp.serving import manifest

# Shipped ones, as wide as trained networks are.
SHIPPED = ("edges-small", "hyperprior-small", "msroi-small")
# Of the folders that the tests of codecs have.
_TAKEN = (
    (conceptual_models, conceptual_models.DEFAULT),
    (layered_models, layered_models.DEFAULT),
    (semantic_models, semantic_models.DEFAULT),
    (semantic_models, semantic_models.SEGMENTER),
)


def write(root: pathlib.Path) -> None:
    """Fills the folder, with cards and manifest."""
    for name in SHIPPED:
        _take(manifest.find(name), root)
    for module, name in _TAKEN:
        _take(manifest.find(module.folder() / name / "1"), root)
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        hyperprior_models.write(folder, ("mean", "factorized"))
        rnn_models.write(folder, ("dial",))
        for name in ("mean", "factorized", "dial"):
            _take(manifest.find(folder / name / "1"), root)


def _take(model: manifest.ModelInfo, root: pathlib.Path) -> None:
    shutil.copytree(model.path, root / model.name / str(model.version))
    manifest.add(root, model.card, default=model.name not in ("mean", "factorized"))


folder = made_once(write)
