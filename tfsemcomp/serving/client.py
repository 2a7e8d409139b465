"""Runs the signatures of a model on a server: TF Serving, or what speaks as it does.

    arrays --Predict--> the server's model --> arrays;   retried while UNAVAILABLE

The networks run there; tables, coders and the model's card are local files. Before the
first call the server's signatures are compared with those of the local model: their
names, and names, types, shapes and graph nodes of what they take and give. Weights are
not compared, since no server tells them. With `check=fingerprint` the server is asked
for the version that carries the local model's fingerprint as its label: then the
weights are those that whoever wrote the labels saw (`tfsemcomp export`).
"""

from __future__ import annotations

import functools
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tfsemcomp import deadline, forking
from tfsemcomp.errors import (
    LimitError,
    ModelMismatchError,
    ServerError,
    UnavailableError,
)
from tfsemcomp.serving import addresses, manifest, transports
from tfsemcomp.serving import signatures as signature_files
from tfsemcomp.serving.transports import Transport, TransportError

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.serving.signatures import Signature, Tensor

_Result = TypeVar("_Result")

# Seconds before the second attempt; they double with each one, up to the most.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_LABEL = "fingerprint-"
# For the states of versions, after a request failed.
_STATUS_SECONDS = 5.0
# Of what a server says, in messages.
_LONGEST_TEXT = 240


def label(model: manifest.ModelInfo) -> str:
    """The version label that stands for a model's fingerprint on servers."""
    return _LABEL + model.fingerprint.hex()


class ServingRunner:
    """Runs a model on a server; safe to call from several threads.

    Args:
        model: the local one: its tables are used, its files are checked against the
            manifest, its name and version are those that the server is asked for.
        server: see `addresses.parse`.
    Raises: ValueError if `server` is no address.
    """

    def __init__(self, model: manifest.ModelInfo, server: str) -> None:
        self.model = model
        self.address = addresses.parse(server)
        self._signatures: dict[str, Signature] = {}
        self._is_checked = False
        self._lock = threading.Lock()

    def call(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Runs `signature` on the server.

        Args:
            signature: name of one of the model's signatures.
            **inputs: arrays of the shapes and dtypes that it declares; the first axis
                may hold as many pictures as a message has room for.
        Returns: its results as arrays.
        Raises:
            ServerError: if the server is down, exceeds the time, or fails.
            UnavailableError: if it has no such model or version, or the package for
                gRPC is missing here.
            ModelMismatchError: if the model there is another one, or has no such
                signature, or local files were changed.
            LimitError: if a message is too large.
        """
        known = self._own_signatures()
        if signature not in known:
            raise ModelMismatchError(
                f"{self.model.path}: has no signature `{signature}`, only "
                f"{', '.join(sorted(known))}; export the model again."
            )
        outputs = known[signature].outputs

        def predict(transport: Transport, left: Callable[[], float]) -> dict:
            # Again after each failure: another model may have come up.
            if not self._is_checked:
                found = transport.signatures(self._spec(), left())
                _compare(known, found, self._there)
                self._is_checked = True
            return transport.predict(self._spec(), signature, inputs, outputs, left())

        found = self._try(predict)
        _check_results(found, outputs, f"{self._there}: `{signature}`")
        return found

    @property
    def _there(self) -> str:
        """The model on the server, in messages."""
        return f"{self.address}, model `{self.model.name}`"

    def _spec(self) -> transports.Spec:
        if self.address.check == "fingerprint":
            return transports.Spec(self.model.name, label=label(self.model))
        return transports.Spec(self.model.name, version=self.model.version)

    def _own_signatures(self) -> dict[str, Signature]:
        """Those of the local model, once its files were checked."""
        with self._lock:
            if not self._signatures:
                manifest.verify(self.model)
                self._signatures = signature_files.read(self.model.path)
            return self._signatures

    def _try(
        self, work: Callable[[Transport, Callable[[], float]], _Result]
    ) -> _Result:
        """Does `work` until it does not fail for want of a server.

        Args:
            work: takes the transport, and what tells the seconds that are left.
        """
        deadline.check()
        forking.start()
        allowed, own = deadline.left(), self.address.timeout
        end = time.monotonic() + (own if allowed is None else min(own, allowed))

        def left() -> float:
            seconds = end - time.monotonic()
            if seconds <= 0:
                raise TransportError("deadline")
            return seconds

        transport = _connect(self.address)
        pause, attempt = _FIRST_PAUSE, 0
        while True:
            attempt += 1
            try:
                return work(transport, left)
            except TransportError as failure:
                self._is_checked = False
                # So that many clients do not come back all at once.
                wait = pause * random.uniform(0.5, 1)
                if (
                    failure.kind != "unavailable"
                    or attempt >= self.address.attempts
                    or time.monotonic() + wait >= end
                ):
                    raise self._explain(failure, attempt) from failure
                time.sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _explain(self, failure: TransportError, attempts: int) -> Exception:
        """The error to raise for what went wrong."""
        text = " ".join(failure.text.split())[:_LONGEST_TEXT]
        if failure.kind == "unavailable":
            return ServerError(
                f"{self.address}: the server is not available ({text}; tried "
                f"{attempts} times); start it, or leave `server` out"
            )
        if failure.kind == "deadline":
            deadline.check()
            return ServerError(
                f"{self.address}: no answer within {self.address.timeout:g} s; give it "
                "more, such as ?timeout=300"
            )
        if failure.kind == "too_large":
            return LimitError(
                f"{self._there}: the message is too large ({text}); send fewer or "
                "smaller pictures, or allow more, such as ?megabytes=2047"
            )
        if failure.kind == "not_found":
            return self._explain_missing()
        return ServerError(f"{self._there}: the server refused the request: {text}")

    def _explain_missing(self) -> Exception:
        """Whether it is the model that the server lacks, or the version."""
        try:
            found = _connect(self.address).versions(self.model.name, _STATUS_SECONDS)
        except TransportError:
            found = {}
        if not found:
            return UnavailableError(
                f"{self.address}: hosts no model `{self.model.name}`; add it to the "
                "server's models, for which `tfsemcomp export` writes the files"
            )
        there = ", ".join(f"{n} ({state})" for n, state in sorted(found.items()))
        wanted = f"version {self.model.version}"
        if self.address.check == "fingerprint":
            wanted = f"a version with the label {label(self.model)}"
        return UnavailableError(
            f"{self._there}: there is not {wanted}, only {there}; serve the files of "
            f"{self.model.path}"
        )


@functools.lru_cache(maxsize=16)
def _connect(address: addresses.Address) -> Transport:
    """The connection to a server that all models share."""
    return transports.connect(address)


def _compare(
    ours: Mapping[str, Signature], theirs: Mapping[str, Signature], there: str
) -> None:
    """Raises ModelMismatchError unless the server's signatures are the model's."""
    missing = sorted(set(ours) - set(theirs))
    if missing:
        raise ModelMismatchError(
            f"{there}: has no signature `{missing[0]}`, only "
            f"{', '.join(sorted(theirs)) or 'none'}; serve the same export of it"
        )
    for name, signature in sorted(ours.items()):
        found = theirs[name]
        if str(found) != str(signature):
            raise ModelMismatchError(
                f"{there}: its `{name}` is {found}, that of the local model "
                f"{signature}; serve the same model"
            )
        if found != signature:
            raise ModelMismatchError(
                f"{there}: `{name}` is of another graph than that of the local model; "
                "serve the same export of it"
            )


def _check_results(
    found: Mapping[str, Any], outputs: Mapping[str, Tensor], what: str
) -> None:
    """Raises ServerError unless the results are those that were declared."""
    given = {name: str(value.dtype) for name, value in found.items()}
    wanted = {name: tensor.dtype for name, tensor in outputs.items()}
    # NumPy has no type for texts of any length.
    given = {n: "string" if kind == "object" else kind for n, kind in given.items()}
    if given != wanted:
        raise ServerError(f"{what} gave {given}, not {wanted}; is it TF Serving?")
