"""A folder of tiny hyperprior models for tests of the codec."""

import pathlib

from tests.codecs.learned_codecs import made_once
from tests.models.hyperprior_networks import a_model, lively
from tfsemcomp.models import hyperprior, hyperprior_module
from tfsemcomp.serving import manifest

# A fresh one of all rates, which is a DCT codec with one table a channel: higher
# quality is better. The others have scattered weights: wide latents and indexes.
DEFAULT = "dct"
MODELS = {
    DEFAULT: ("tiny-dct", "mean_scale", hyperprior.LMBDAS),
    "mean": ("tiny", "mean_scale", (0.013,)),
    "scale": ("tiny", "scale", (0.013, 0.05)),
    "factorized": ("tiny", "factorized", (0.013,)),
    "dct-factorized": ("tiny-dct", "factorized", (0.013, 0.05)),
}


def write(root: pathlib.Path, names: tuple[str, ...] = tuple(MODELS)) -> None:
    """Exports the models called `names`, with card and manifest."""
    for name in names:
        model = a_model(*MODELS[name])
        if name != DEFAULT:
            model = lively(model)
        hyperprior_module.export_model(model, root / name)
        card = {
            "name": name,
            "version": 1,
            "system": "hyperprior",
            "latents": hyperprior_module.latents(model),
        }
        manifest.add(root, card, default=name == DEFAULT)


folder = made_once(write)
