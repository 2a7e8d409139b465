"""What stands between client and server in tests: faults, delays and certificates.

    python -m tests.serving.proxies PORT TARGET METHOD

passes requests on to TARGET, and hangs in METHOD, whose name it prints first.
"""

import concurrent.futures
import http.client
import http.server
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

_OPTIONS = [
    ("grpc.max_receive_message_length", 2**31 - 1),
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.enable_http_proxy", 0),
]


class GrpcProxy(grpc.GenericRpcHandler):
    """Passes requests on, after what is planned for them.

    Attributes:
        address: host:port that it listens at.
        calls: methods that were called, in order.

    Args:
        target: host:port of the server.
        faults: method -> what its first calls meet: a status code to fail with, or
            seconds to wait, or a function to call.
        credentials: of the server, for TLS.
        port: to listen at; 0 for a free one.
    """

    def __init__(
        self,
        target: str,
        faults: dict[str, list[Any]] | None = None,
        credentials: grpc.ServerCredentials | None = None,
        port: int = 0,
    ) -> None:
        self.calls: list[str] = []
        self._faults = {name: list(plan) for name, plan in (faults or {}).items()}
        self._channel = grpc.insecure_channel(target, _OPTIONS)
        pool = concurrent.futures.ThreadPoolExecutor(8)
        self._server = grpc.server(pool, handlers=[self], options=_OPTIONS)
        place = f"127.0.0.1:{port}"
        if credentials is None:
            found = self._server.add_insecure_port(place)
        else:
            found = self._server.add_secure_port(place, credentials)
        self.address = f"127.0.0.1:{found}"
        self._server.start()

    def service(self, handler_call_details):
        """See grpc."""
        method = handler_call_details.method

        def forward(request: bytes, context: grpc.ServicerContext) -> bytes:
            return self._forward(method, request, context)

        return grpc.unary_unary_rpc_method_handler(forward)

    def _forward(self, method: str, request: bytes, context) -> bytes:
        name = method.rpartition("/")[2]
        self.calls.append(name)
        plan = self._faults.get(name, [])
        fault = plan.pop(0) if plan else None
        if isinstance(fault, grpc.StatusCode):
            context.abort(fault, "a planned fault")
        elif callable(fault):
            fault()
        elif fault is not None:
            time.sleep(fault)
        try:
            return self._channel.unary_unary(method)(request, timeout=30)
        except grpc.RpcError as error:
            return context.abort(error.code(), error.details())

    def close(self) -> None:
        """Stops at once."""
        self._server.stop(grace=None)
        self._channel.close()


class RestProxy:
    """Passes REST requests on; with a TLS context, encrypted on the client's side.

    Attributes:
        address: host:port that it listens at.

    Args:
        target: host:port of the server.
        faults: what the first requests meet: an HTTP status to fail with, seconds to
            wait, or bytes to send in place of an answer before closing.
        context: of the server, for TLS.
        port: to listen at; 0 for a free one.
    """

    def __init__(
        self,
        target: str,
        faults: list[int | float | bytes] | None = None,
        context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        plan = list(faults or [])

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_arguments: Any) -> None:
                pass

            def do_GET(self) -> None:  # noqa: N802
                self._forward(None)

            def do_POST(self) -> None:  # noqa: N802
                self._forward(self.rfile.read(int(self.headers["Content-Length"])))

            def _forward(self, body: bytes | None) -> None:
                fault = plan.pop(0) if plan else None
                if isinstance(fault, bytes):
                    self.wfile.write(fault)
                    return
                if isinstance(fault, int):
                    self._answer(fault, b'{"error": "a planned fault"}')
                    return
                if fault is not None:
                    time.sleep(fault)
                there = http.client.HTTPConnection(target, timeout=30)
                there.request(self.command, self.path, body)
                response = there.getresponse()
                self._answer(response.status, response.read())
                there.close()

            def _answer(self, status: int, data: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.handle_error = lambda *_: None
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True
            )
        self.address = f"127.0.0.1:{self._server.server_port}"
        serve: Callable = self._server.serve_forever
        threading.Thread(target=serve, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stops at once."""
        self._server.shutdown()
        self._server.server_close()


def main() -> None:
    """Hangs in a method until it is killed."""
    port, target, method = int(sys.argv[1]), sys.argv[2], sys.argv[3]

    def hang() -> None:
        print(method, flush=True)
        time.sleep(60)

    proxy = GrpcProxy(target, {method: [hang]}, port=port)
    print(proxy.address, flush=True)
    time.sleep(60)


if __name__ == "__main__":
    main()
