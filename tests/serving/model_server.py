"""A stand-in for tensorflow_model_server: its flags, protobufs and REST interface.

    python -m tests.serving.model_server --port=P --rest_api_port=R \
        --model_config_file=models.config

It runs SavedModels in sessions of TensorFlow's C++ runtime, as TF Serving does, and
knows nothing of tensorflow-compression or tfsemcomp. Loopback only.
"""

import argparse
import base64
import collections
import concurrent.futures
import http.server
import json
import pathlib
import re
import sys
import threading
from typing import Any, NoReturn

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format, text_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNAVAILABLE: 503,
}
_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/(?:versions/(\d+)|labels/([^/:]+)))?(:predict|/metadata)?"
)
_MOST_BYTES = 2**31 - 1


class RequestError(Exception):
    """What a request gets in place of its result."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Served:
    """A version of a model in a session."""

    def __init__(self, path: pathlib.Path) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            meta = tf.compat.v1.saved_model.load(
                self._session, [tf.saved_model.SERVING], str(path)
            )
        self.signatures = dict(meta.signature_def)

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """The signature called `name`."""
        if name not in self.signatures:
            text = f'Serving signature name: "{name}" not found in signature def'
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, text)
        return self.signatures[name]

    def run(self, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a signature."""
        signature = self.signature(name)
        if set(inputs) != set(signature.inputs):
            text = f"input keys {sorted(inputs)}, not {sorted(signature.inputs)}"
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, text)
        feed = {}
        for key, value in inputs.items():
            info = signature.inputs[key]
            wanted = tf.as_dtype(info.dtype).as_numpy_dtype
            if value.dtype != wanted:
                text = f"input {key} is {value.dtype}, not {wanted}"
                raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, text)
            feed[info.name] = value
        names = {key: info.name for key, info in signature.outputs.items()}
        try:
            return self._session.run(names, feed)
        except ValueError as error:
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        except tf.errors.OpError as error:
            raise RequestError(_CODES[error.error_code], error.message) from error


class Models:
    """All models of a configuration, loaded."""

    def __init__(self, config: pathlib.Path) -> None:
        parsed = model_server_config_pb2.ModelServerConfig()
        text_format.Parse(config.read_text(encoding="utf-8"), parsed)
        self.models: dict[str, dict[int, Served]] = collections.defaultdict(dict)
        self.labels: dict[str, dict[str, int]] = {}
        for entry in parsed.model_config_list.config:
            folder = pathlib.Path(entry.base_path)
            versions = list(entry.model_version_policy.specific.versions)
            found = [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
            for version in versions or [max(found)]:
                served = Served(folder / str(version))
                self.models[entry.name][version] = served
            self.labels[entry.name] = dict(entry.version_labels)

    def find(self, name: str, version: int | None, label: str) -> tuple[int, Served]:
        """A version and its model."""
        found = self.models.get(name, {})
        if label:
            if label not in self.labels.get(name, {}):
                text = f"Unrecognized servable version label: {label}"
                raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, text)
            version = self.labels[name][label]
        if version is None and found:
            version = max(found)
        if version not in found:
            text = f"Servable not found for request: Specific({name}, {version})"
            raise RequestError(grpc.StatusCode.NOT_FOUND, text)
        return version, found[version]

    def find_spec(self, spec: Any) -> tuple[int, Served]:
        """As `find`, for a ModelSpec."""
        version = spec.version.value if spec.HasField("version") else None
        return self.find(spec.name, version, spec.version_label)

    def versions(self, name: str) -> list[int]:
        """Those of a model."""
        if name not in self.models:
            text = f"Could not find any versions of model {name}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, text)
        return sorted(self.models[name])


def _abort(context: grpc.ServicerContext, error: RequestError) -> NoReturn:
    context.abort(error.code, str(error))


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def Predict(self, request, context):  # noqa: N802
        """Runs a signature."""
        answer = predict_pb2.PredictResponse()
        try:
            version, model = self._models.find_spec(request.model_spec)
            inputs = {name: tf.make_ndarray(t) for name, t in request.inputs.items()}
            found = model.run(request.model_spec.signature_name, inputs)
        except RequestError as error:
            _abort(context, error)
        answer.model_spec.name = request.model_spec.name
        answer.model_spec.version.value = version
        for name, value in found.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def GetModelMetadata(self, request, context):  # noqa: N802
        """Tells the signatures."""
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        try:
            version, model = self._models.find_spec(request.model_spec)
            if list(request.metadata_field) != ["signature_def"]:
                text = "metadata_field must be signature_def"
                raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, text)
        except RequestError as error:
            _abort(context, error)
        answer.model_spec.name = request.model_spec.name
        answer.model_spec.version.value = version
        answer.metadata["signature_def"].Pack(_signature_map(model))
        return answer


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def GetModelStatus(self, request, context):  # noqa: N802
        """Tells the versions."""
        answer = get_model_status_pb2.GetModelStatusResponse()
        try:
            found = self._models.versions(request.model_spec.name)
        except RequestError as error:
            _abort(context, error)
        for version in found:
            state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
            answer.model_version_status.add(version=version, state=state)
        return answer


def _signature_map(model: Served) -> get_model_metadata_pb2.SignatureDefMap:
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in model.signatures.items():
        found.signature_def[name].CopyFrom(signature)
    return found


class RestHandler(http.server.BaseHTTPRequestHandler):
    """The REST interface."""

    models: Models

    def log_message(self, *_arguments: Any) -> None:
        """Keeps quiet."""

    def do_GET(self) -> None:  # noqa: N802
        """Metadata and states."""
        self._answer(b"")

    def do_POST(self) -> None:  # noqa: N802
        """Predictions."""
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        try:
            status, facts = 200, self._facts(body)
        except RequestError as error:
            status, facts = _HTTP.get(error.code, 500), {"error": str(error)}
        data = json.dumps(facts).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _facts(self, body: bytes) -> dict[str, Any]:
        found = _PATH.fullmatch(self.path)
        if found is None:
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "Malformed request")
        name, version, label, verb = found.groups()
        if verb is None:
            states = self.models.versions(name)
            return {
                "model_version_status": [
                    {"version": str(number), "state": "AVAILABLE"} for number in states
                ]
            }
        wanted = None if version is None else int(version)
        number, model = self.models.find(name, wanted, label or "")
        if verb == "/metadata":
            signatures = json_format.MessageToDict(
                _signature_map(model),
                preserving_proto_field_name=True,
                including_default_value_fields=True,
            )
            spec = {"name": name, "version": str(number)}
            return {
                "model_spec": spec,
                "metadata": {"signature_def": signatures},
            }
        request = json.loads(body)
        signature = model.signature(request.get("signature_name", "serving_default"))
        # Reading what a map of protobuf lacks would add it.
        types = {key: _dtype(info) for key, info in signature.inputs.items()}
        inputs = {
            key: np.array(_from_json(value), types.get(key))
            for key, value in request["inputs"].items()
        }
        outputs = model.run(request["signature_name"], inputs)
        plain = {key: _to_json(value) for key, value in outputs.items()}
        return {"outputs": plain if len(plain) > 1 else plain.popitem()[1]}


def _dtype(info: meta_graph_pb2.TensorInfo) -> type:
    return tf.as_dtype(info.dtype).as_numpy_dtype


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _to_json(value: np.ndarray) -> Any:
    """As TF Serving writes numbers: with as many digits as their type has."""
    if value.dtype != np.float32:
        return value.tolist()
    digits = [float(f"{number:.9g}") for number in value.ravel()]
    return np.array(digits).reshape(value.shape).tolist()


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rest_api_port", type=int, required=True)
    parser.add_argument("--model_config_file", type=pathlib.Path, required=True)
    parser.add_argument("--allow_version_labels_for_unavailable_models")
    args = parser.parse_args()
    models = Models(args.model_config_file)
    ours = {"tensorflow_compression", "tfsemcomp"} & set(sys.modules)
    if ours:
        sys.exit(f"{', '.join(ours)}: imported, so that this is no stock TensorFlow")
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(8),
        options=[
            ("grpc.max_receive_message_length", _MOST_BYTES),
            ("grpc.max_send_message_length", _MOST_BYTES),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(models), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelService(models), server
    )
    server.add_insecure_port(f"127.0.0.1:{args.port}")
    handler = type("Handler", (RestHandler,), {"models": models})
    place = ("127.0.0.1", args.rest_api_port)
    rest = http.server.ThreadingHTTPServer(place, handler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
