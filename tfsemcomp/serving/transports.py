"""The two ways in which TF Serving is spoken to: gRPC with protobufs, REST with JSON.

Both give the same values: floats travel in JSON with as many digits as their bits need.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import time
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.serving import signatures as signature_files

if TYPE_CHECKING:
    import http.client

    import numpy as np

    from tfsemcomp.serving.addresses import Address
    from tfsemcomp.serving.signatures import Signature, Tensor

_MEGABYTE = 2**20
# gRPC waits this long before it connects anew, at first and at most, whatever requests
# come: a server that is back must be seen within the pauses between our attempts.
_RECONNECT_MS = (100, 500)
# Names of a message, and what protobuf adds to tensors.
_MESSAGE_OVERHEAD = 4096
_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING"}
_HTTP_KINDS = {
    404: "not_found",
    408: "deadline",
    413: "too_large",
    502: "unavailable",
    503: "unavailable",
    504: "deadline",
}
# Servers differ in the code for it.
_UNKNOWN_LABEL = "version label"


class TransportError(Exception):
    """A request that did not give its result.

    Args:
        kind: "unavailable", "deadline", "not_found", "too_large" or "refused".
        text: what the server or the system said.
    """

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


@dataclasses.dataclass(frozen=True)
class Spec:
    """A model on a server: its name, and a version or the label of one."""

    name: str
    version: int | None = None
    label: str | None = None


class Transport(Protocol):
    """A connection to a server, for threads to share. All raise TransportError."""

    def predict(
        self,
        spec: Spec,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, Tensor],
        timeout: float,
    ) -> dict[str, np.ndarray]:
        """Runs a signature, whose results are as `outputs` says."""

    def signatures(self, spec: Spec, timeout: float) -> dict[str, Signature]:
        """What the server's model takes and gives."""

    def versions(self, name: str, timeout: float) -> dict[int, str]:
        """The states of a model's versions."""


def connect(address: Address) -> Transport:
    """The connection to a server; nothing is sent yet.

    Raises:
        UnavailableError: if the package for gRPC is not installed.
        SemCompError: if a file of certificates cannot be read.
    """
    return RestTransport(address) if address.is_rest else GrpcTransport(address)


class GrpcTransport:
    """PredictionService and ModelService over gRPC.

    Proxies of the environment are not used.
    """

    def __init__(self, address: Address) -> None:
        # Its messages would come between ours, which tell the same.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            import grpc
            from tensorflow_serving.apis import (
                model_service_pb2_grpc,
                prediction_service_pb2_grpc,
            )
        except ImportError as error:
            raise UnavailableError(
                "`server` over gRPC needs the package tensorflow-serving-api; install "
                "it with: pip install 'tfsemcomp[serving]', or use http://host:8501"
            ) from error
        self._limit = address.megabytes * _MEGABYTE
        options = [
            ("grpc.max_send_message_length", self._limit),
            ("grpc.max_receive_message_length", self._limit),
            ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS[0]),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS[1]),
            ("grpc.enable_http_proxy", 0),
        ]
        if address.is_secure:
            credentials = grpc.ssl_channel_credentials(
                *(_read(file) for file in (address.root, address.key)),
                _read(address.certificate),
            )
            channel = grpc.secure_channel(address.target, credentials, options)
        else:
            channel = grpc.insecure_channel(address.target, options)
        self._grpc = grpc
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)

    def predict(
        self,
        spec: Spec,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, Tensor],
        timeout: float,
    ) -> dict[str, np.ndarray]:
        """See `Transport`."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        del outputs
        size = _MESSAGE_OVERHEAD + sum(value.nbytes for value in inputs.values())
        if size > self._limit:
            raise TransportError(
                "too_large", f"{size} bytes to send, at most {self._limit} are allowed"
            )
        request = predict_pb2.PredictRequest()
        self._name(request.model_spec, spec)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        answer = self._call(self._prediction.Predict, request, timeout)
        return {name: tf.make_ndarray(t) for name, t in answer.outputs.items()}

    def signatures(self, spec: Spec, timeout: float) -> dict[str, Signature]:
        """See `Transport`."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest()
        self._name(request.model_spec, spec)
        request.metadata_field.append("signature_def")
        answer = self._call(self._prediction.GetModelMetadata, request, timeout)
        found = get_model_metadata_pb2.SignatureDefMap()
        packed = answer.metadata.get("signature_def")
        if packed is None or not packed.Unpack(found):
            raise TransportError("refused", "it tells no signatures")
        return signature_files.from_protos(found.signature_def)

    def versions(self, name: str, timeout: float) -> dict[int, str]:
        """See `Transport`."""
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        answer = self._call(self._models.GetModelStatus, request, timeout)
        return {
            status.version: _STATES.get(status.state, "ENDED")
            for status in answer.model_version_status
        }

    def _name(self, target: Any, spec: Spec) -> None:
        target.name = spec.name
        if spec.label is not None:
            target.version_label = spec.label
        elif spec.version is not None:
            target.version.value = spec.version

    def _call(self, method: Any, request: Any, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout)
        except self._grpc.RpcError as error:
            kind = self._kind(error.code(), error.details() or "")
            text = f"{error.code().name}: {error.details()}"
            raise TransportError(kind, text) from error

    def _kind(self, code: Any, details: str) -> str:
        codes = self._grpc.StatusCode
        if code == codes.RESOURCE_EXHAUSTED and "larger than max" in details:
            return "too_large"
        if _UNKNOWN_LABEL in details:
            return "not_found"
        return {
            codes.UNAVAILABLE: "unavailable",
            codes.DEADLINE_EXCEEDED: "deadline",
            codes.NOT_FOUND: "not_found",
        }.get(code, "refused")


class RestTransport:
    """The REST interface of TF Serving, with nothing but Python's own library.

    Proxies of the environment are not used.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._limit = address.megabytes * _MEGABYTE
        self._context = None
        if address.is_secure:
            import ssl

            for file in (address.root, address.certificate, address.key):
                _read(file)
            try:
                self._context = ssl.create_default_context(cafile=address.root)
                if address.certificate is not None:
                    self._context.load_cert_chain(address.certificate, address.key)
            except ssl.SSLError as error:
                raise SemCompError(f"{address}: a certificate: {error}") from error

    def predict(
        self,
        spec: Spec,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, Tensor],
        timeout: float,
    ) -> dict[str, np.ndarray]:
        """See `Transport`."""
        import numpy as np

        request = {
            "signature_name": signature,
            "inputs": {n: _plain(np.asarray(value)) for n, value in inputs.items()},
        }
        body = json.dumps(request, separators=(",", ":")).encode("ascii")
        answer = self._send("POST", f"{_path(spec)}:predict", body, timeout)
        try:
            found = answer["outputs"]
            # A single result comes without its name.
            named = found if len(outputs) > 1 else {min(outputs): found}
            return {name: _array(named[name], t.dtype) for name, t in outputs.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise TransportError(
                "refused", f"no results in its answer: {error}"
            ) from error

    def signatures(self, spec: Spec, timeout: float) -> dict[str, Signature]:
        """See `Transport`."""
        answer = self._send("GET", f"{_path(spec)}/metadata", b"", timeout)
        try:
            found = answer["metadata"]["signature_def"]["signature_def"]
            return signature_files.from_json(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TransportError(
                "refused", f"it tells no signatures: {error}"
            ) from error

    def versions(self, name: str, timeout: float) -> dict[int, str]:
        """See `Transport`."""
        answer = self._send("GET", _path(Spec(name)), b"", timeout)
        try:
            return {
                int(status["version"]): str(status["state"])
                for status in answer["model_version_status"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise TransportError("refused", f"it tells no versions: {error}") from error

    def _send(self, method: str, path: str, body: bytes, timeout: float) -> Any:
        """The JSON that the server answers."""
        if len(body) > self._limit:
            text = f"{len(body)} bytes to send, at most {self._limit} are allowed"
            raise TransportError("too_large", text)
        import http.client

        end = time.monotonic() + timeout
        try:
            connection = self._open(timeout)
            try:
                headers = {"Content-Type": "application/json"} if body else {}
                connection.request(method, path, body or None, headers)
                response = connection.getresponse()
                data = self._receive(connection, response, end)
            finally:
                connection.close()
        except TimeoutError as error:
            raise TransportError("deadline") from error
        except (OSError, http.client.HTTPException) as error:
            text = f"{type(error).__name__}: {error}"
            raise TransportError("unavailable", text) from error
        if response.status != 200:
            text = f"HTTP {response.status}: {_error_of(data)}"
            if _UNKNOWN_LABEL in text:
                raise TransportError("not_found", text)
            raise TransportError(_HTTP_KINDS.get(response.status, "refused"), text)
        try:
            return json.loads(data)
        except ValueError as error:
            raise TransportError(
                "refused", f"its answer is no JSON: {error}"
            ) from error

    def _open(self, timeout: float) -> http.client.HTTPConnection:
        import http.client

        place = (self._address.host, self._address.port)
        if self._context is None:
            return http.client.HTTPConnection(*place, timeout=timeout)
        return http.client.HTTPSConnection(
            *place, timeout=timeout, context=self._context
        )

    def _receive(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        end: float,
    ) -> bytes:
        """The body of an answer that may come piece by piece."""
        pieces, size = [], 0
        while piece := response.read1(_MEGABYTE):
            pieces.append(piece)
            size += len(piece)
            if size > self._limit:
                text = f"its answer has more than {self._limit} bytes"
                raise TransportError("too_large", text)
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            # It is gone once the answer is whole.
            if connection.sock is not None:
                connection.sock.settimeout(left)
        if response.length:
            raise ConnectionError(f"{response.length} bytes of the answer are missing")
        return b"".join(pieces)


def _path(spec: Spec) -> str:
    """Of a model in URLs."""
    path = f"/v1/models/{urllib.parse.quote(spec.name, safe='')}"
    if spec.label is not None:
        return f"{path}/labels/{urllib.parse.quote(spec.label, safe='')}"
    return path if spec.version is None else f"{path}/versions/{spec.version}"


def _plain(value: np.ndarray) -> Any:
    """An array as JSON has it; texts are bytes in base 64."""
    if value.dtype.kind not in "OSU":
        return value.tolist()

    def encode(item: Any) -> Any:
        if isinstance(item, list):
            return [encode(part) for part in item]
        item = item.encode() if isinstance(item, str) else item
        return {"b64": base64.b64encode(item).decode("ascii")}

    return encode(value.tolist())


def _array(value: Any, dtype: str) -> np.ndarray:
    import numpy as np

    if dtype == "string":

        def decode(item: Any) -> Any:
            if isinstance(item, list):
                return [decode(part) for part in item]
            if isinstance(item, dict):
                return base64.b64decode(item["b64"])
            return item.encode()

        return np.array(decode(value), object)
    found = np.array(value, np.float64 if dtype.startswith("float") else None)
    if found.dtype.kind not in "fiub":
        raise ValueError(f"values of type {found.dtype}")
    return found.astype(dtype)


def _error_of(data: bytes) -> str:
    """What an answer says of an error."""
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode("utf-8", "replace")


def _read(file: str | None) -> bytes | None:
    """A file of certificates; None for none.

    Raises: SemCompError if it cannot be read.
    """
    if file is None:
        return None
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise SemCompError(
            f"cannot read the certificate `{file}`: {error.strerror or error}"
        ) from error
