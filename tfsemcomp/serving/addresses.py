"""Where models are served: one text with everything that a client must know.

    host:8500                              gRPC; also grpc://host:8500
    grpcs://host:8500?root=ca.pem          gRPC over TLS
    http://host:8501, https://host:8501    REST, without and with TLS

Options follow a `?`, with `&` between them; see `Address`.
"""

from __future__ import annotations

import dataclasses
import math
import urllib.parse
from typing import Any

_SCHEMES = ("grpc", "grpcs", "http", "https")
_PORTS = {"grpc": 8500, "grpcs": 8500, "http": 8501, "https": 8501}
CHECKS = ("signatures", "fingerprint")
# The most that a message of gRPC may hold, in MiB.
_MOST_MEGABYTES = 2047
_MOST_ATTEMPTS = 100


@dataclasses.dataclass(frozen=True)
class Address:
    """A server of models, and how to talk to it.

    Attributes:
        scheme: "grpc", "grpcs", "http" or "https".
        host: name or IP address.
        port: 8500 of gRPC and 8501 of REST unless the text has another.
        timeout: seconds that a call may take, with all of its attempts.
        attempts: how often a call is tried while the server is not available.
        megabytes: MiB that a message may hold, to the server or from it.
        check: "signatures" compares those of the server's model with those of the
            local one; "fingerprint" asks for the version that is labelled with the
            local model's fingerprint, as `tfsemcomp export` writes labels, besides.
        root: file of root certificates (PEM) that the server's is checked with; None
            for those that gRPC brings along or, of REST, the system's.
        certificate, key: files (PEM) by which the client says who it is; None without.
    """

    scheme: str
    host: str
    port: int
    timeout: float = 60.0
    attempts: int = 6
    megabytes: int = 1024
    check: str = "signatures"
    root: str | None = None
    certificate: str | None = None
    key: str | None = None

    @property
    def target(self) -> str:
        """host:port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_rest(self) -> bool:
        """Whether it is spoken to over HTTP and JSON."""
        return self.scheme.startswith("http")

    @property
    def is_secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme.endswith("s")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.target}"


def parse(text: str) -> Address:
    """The address that a text stands for; see the module.

    Raises: ValueError if it stands for none, or an option is unknown or wrong.
    """
    if not isinstance(text, str):
        raise ValueError(f"`server` must be a text, received {type(text).__name__}")
    parts = urllib.parse.urlsplit(text if "://" in text else f"grpc://{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    extra = parts.path.strip("/") or parts.fragment or parts.username
    if parts.scheme not in _SCHEMES or not host or port == 0 or extra:
        raise ValueError(
            "`server` must be host:8500 or, with a scheme, one of "
            f"{', '.join(f'{scheme}://host:port' for scheme in _SCHEMES)}, received "
            f"{text!r}"
        )
    options = _options(parts.query)
    address = Address(parts.scheme, host, port or _PORTS[parts.scheme], **options)
    _check(address)
    return address


def _options(query: str) -> dict[str, Any]:
    kinds = {
        "timeout": float,
        "attempts": int,
        "megabytes": int,
        "check": str,
        "root": str,
        "certificate": str,
        "key": str,
    }
    found: dict[str, Any] = {}
    for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if name not in kinds:
            raise ValueError(
                f"`server` has no option `{name}`; there are {', '.join(kinds)}"
            )
        try:
            found[name] = kinds[name](value)
        except ValueError as error:
            raise ValueError(
                f"`{name}` of `server` must be a number, received {value!r}"
            ) from error
    return found


def _check(address: Address) -> None:
    """Raises ValueError if options are out of range or contradict each other."""
    ranges = {
        "timeout": (address.timeout, math.ulp(0.0), 86400.0),
        "attempts": (address.attempts, 1, _MOST_ATTEMPTS),
        "megabytes": (address.megabytes, 1, _MOST_MEGABYTES),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise ValueError(
                f"`{name}` of `server` must be above 0 and at most {high:g}, received "
                f"{value:g}"
            )
    if address.check not in CHECKS:
        raise ValueError(
            f"`check` of `server` must be one of {', '.join(CHECKS)}, received "
            f"{address.check!r}"
        )
    files = (address.root, address.certificate, address.key)
    if not address.is_secure and any(file is not None for file in files):
        raise ValueError(
            "`root`, `certificate` and `key` of `server` are of grpcs:// and https://, "
            f"received {address.scheme}://"
        )
    if (address.certificate is None) != (address.key is None):
        raise ValueError("`certificate` and `key` of `server` go together; give both")
