"""Server processes for tests: TF Serving where it is installed, else the stand-in."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

from tfsemcomp.serving import addresses, transports

ROOT = pathlib.Path(__file__).resolve().parents[2]
STOCK = "tensorflow_model_server"
# Loading SavedModels on a machine that does other things, too.
_START_SECONDS = 120


def free_port() -> int:
    """A port of the loopback interface that nobody listens at."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def environment() -> dict[str, str]:
    """Of processes that import the tests."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "GRPC_VERBOSITY": "NONE",
    }


class ModelServer:
    """A server of models in a process of its own.

    Attributes:
        grpc, rest: host:port of either interface.

    Args:
        config: a file of models as TF Serving reads them.
        names: of its models, for which the start waits.
        log: file that gets what the process says.
    """

    def __init__(
        self, config: pathlib.Path, names: list[str], log: pathlib.Path
    ) -> None:
        port, rest_port = free_port(), free_port()
        self.grpc, self.rest = f"127.0.0.1:{port}", f"127.0.0.1:{rest_port}"
        program = [sys.executable, "-m", "tests.serving.model_server"]
        if shutil.which(STOCK):
            program = [STOCK]
        command = [
            *program,
            f"--port={port}",
            f"--rest_api_port={rest_port}",
            f"--model_config_file={config}",
            "--allow_version_labels_for_unavailable_models=true",
        ]
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment(), cwd=ROOT
            )
        try:
            self._wait(names, log)
        except BaseException:
            self.close()
            raise

    def _wait(self, names: list[str], log: pathlib.Path) -> None:
        transport = transports.connect(addresses.parse(self.grpc))
        end = time.monotonic() + _START_SECONDS
        left = list(names)
        while left:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no server: {log.read_text()[-2000:]}")
            try:
                states = transport.versions(left[0], 5).values()
            except transports.TransportError:
                states = []
            if "AVAILABLE" in states:
                left.pop(0)
            else:
                time.sleep(0.1)

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
