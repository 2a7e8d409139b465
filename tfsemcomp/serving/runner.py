"""Runs the signatures of an exported model; codecs know nothing else of networks."""

import functools
import threading
from typing import Protocol

import numpy as np

from tfsemcomp import deadline, forking
from tfsemcomp.errors import ModelMismatchError
from tfsemcomp.serving import manifest


class Runner(Protocol):
    """What codecs and semantics need of a model, wherever it runs."""

    def call(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Runs `signature` on named arrays and returns its named results."""


_LOADING = threading.Lock()


def shared(model: manifest.ModelInfo, server: str | None = None) -> Runner:
    """The runner of a model that all of this process share, so that it loads once.

    Args:
        model: a model of `manifest.find`.
        server: of `addresses.parse`, that hosts it; None runs it in this process.
    """
    # The cache alone would let threads that come at once make two.
    with _LOADING:
        return _cached(model, server)


@functools.lru_cache(maxsize=8)
def _cached(model: manifest.ModelInfo, server: str | None) -> Runner:
    if server is None:
        return LocalRunner(model)
    from tfsemcomp.serving import client

    return client.ServingRunner(model, server)


class LocalRunner:
    """Runs a SavedModel in this process; safe to call from several threads.

    The files are checked against the manifest and loaded at the first call.

    Args:
        model: a model of `manifest.find`.
    """

    def __init__(self, model: manifest.ModelInfo) -> None:
        self.model = model
        self._signatures: dict | None = None
        self._lock = threading.Lock()

    def call(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Runs `signature`.

        Args:
            signature: name of one of the model's signatures.
            **inputs: arrays of the shapes and dtypes that it declares.
        Returns: its results as arrays.
        Raises:
            ModelMismatchError: if the files were changed or lack the signature.
            LimitError: if the time of `deadline` is over.
            SemCompError: in a process forked from one that ran networks.
        """
        import tensorflow as tf

        deadline.check()
        forking.start()
        functions = self._load()
        if signature not in functions:
            raise ModelMismatchError(
                f"{self.model.path}: has no signature `{signature}`, only "
                f"{', '.join(sorted(functions))}; export the model again."
            )
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        results = functions[signature](**tensors)
        return {name: value.numpy() for name, value in results.items()}

    def _load(self) -> dict:
        with self._lock:
            if self._signatures is None:
                import tensorflow as tf

                manifest.verify(self.model)
                self._check_ops()
                # The loaded object must live as long as its functions.
                self._loaded = tf.saved_model.load(str(self.model.path))
                self._signatures = dict(self._loaded.signatures)
            return self._signatures

    def _check_ops(self) -> None:
        """A model is a program: nothing of one that does more than compute is run."""
        from tfsemcomp.serving import allowed_ops

        foreign = allowed_ops.forbidden(self.model.path)
        if foreign:
            raise ModelMismatchError(
                f"{self.model.path}: holds ops that a model has no use for "
                f"({', '.join(foreign)}), so it is not loaded; export it with "
                "tfsemcomp.serving.export."
            )
