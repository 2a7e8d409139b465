"""Measure a server of models: requests a second, latencies and memory, by clients.

Paper:  none; the server is TF Serving, docs/SERVING.md.
Run:    python recipes/benchmark_serving.py --server=localhost:8500 --server_pid=PID \
            --codec=hyperprior --out=results/serving
        python recipes/benchmark_serving.py --server=http://localhost:8501 ...
Needs:  pip install tfsemcomp[serving]
Cost:   `--seconds` (60) for each part and number of clients: 18 minutes as it stands.
Result: OUT/serving.json and OUT/serving.md.

Clients are threads of this process that send one request after the other. Parts:
  predict     the first request of a compression, sent again and again: the server alone
  compress    whole compressions: networks there, coder here
  decompress  whole decompressions of such a file

Before each row every client has had an answer. `--server_pid` names the server's
process on this machine (Linux), whose resident memory is told before and after each
row.
"""

import json
import math
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import app, flags, logging

import tfsemcomp
from tfsemcomp import images
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import benchmark_parts, markdown
from tfsemcomp.serving import client, manifest, runner

_PART_NAMES = ("predict", "compress", "decompress")
_SERVER = flags.DEFINE_string("server", None, "Address of it.", required=True)
_PID = flags.DEFINE_integer("server_pid", None, "Its process, for its memory.")
_CODEC = flags.DEFINE_string("codec", "hyperprior", "Codec, or a model's name.")
_QUALITY = flags.DEFINE_float("quality", None, "Of the codec; default: its own.")
_IMAGE = flags.DEFINE_string(
    "image", "recipes/demo_photos/astronaut.png", "Photo whose middle is sent."
)
_SIDE = flags.DEFINE_integer("side", 256, "Of that middle, pixels.", 16)
_BATCH = flags.DEFINE_integer("batch", 1, "Pictures in a request of `predict`.", 1)
_PARTS = flags.DEFINE_list("parts", list(_PART_NAMES), "What to measure.")
_CLIENTS = flags.DEFINE_list("clients", ["1", "2", "4", "8", "16", "32"], "At a time.")
_SECONDS = flags.DEFINE_float("seconds", 60.0, "For each row, at least.", 0.0)
_OUT = flags.DEFINE_string("out", "results/serving", "Folder for the results.")
_SMOKE = flags.DEFINE_boolean("smoke", False, "A small picture, two clients, briefly.")

# What --smoke makes of the flags.
_SMALL = {"side": 64, "clients": ["1", "2"], "seconds": 0.5}
_PERCENTILES = (50, 90, 99)
_MEBIBYTE = 2**20


def first_request(codec: base.Codec, picture: np.ndarray) -> Callable[[], Any]:
    """What sends the first request of a compression again, for `--batch` pictures."""
    info = manifest.choose(codec.model, codec.name)
    recorded: list[tuple[str, dict[str, np.ndarray]]] = []
    served = runner.shared(info, codec.server)

    def record(signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        recorded.append((signature, inputs))
        return client.ServingRunner.call(served, signature, **inputs)

    served.call = record
    try:
        codec.compress(picture, quality=_QUALITY.value)
    finally:
        del served.call
    if not recorded:
        raise SemCompError(f"{codec.name}: asks the server for nothing.")
    signature, inputs = recorded[0]
    batch = {
        name: np.repeat(value, _BATCH.value, axis=0) for name, value in inputs.items()
    }
    return lambda: served.call(signature, **batch)


def measure(work: Callable[[], Any], pictures: int) -> list[dict[str, Any]]:
    """A row for each number of clients."""
    rows = []
    for text in _CLIENTS.value:
        before = memory()
        row = {"clients": int(text), **run_clients(work, int(text), pictures)}
        row["server_MiB"] = [before, memory()]
        logging.info("%s", row)
        rows.append(row)
    return rows


def run_clients(
    work: Callable[[], Any], count: int, pictures: int
) -> dict[str, float | dict[str, float]]:
    """Requests a second and milliseconds of `count` clients at a time.

    Args:
        work: sends a request and waits for its answer.
        count: of the clients.
        pictures: in a request.
    Raises: SemCompError as `work`: rows with failures would compare nothing.
    """
    found: list[list[float]] = [[] for _ in range(count)]
    failures: list[SemCompError] = []
    start = threading.Barrier(count + 1)
    end = math.inf

    def repeat(own: list[float]) -> None:
        try:
            work()
        except SemCompError as error:
            failures.append(error)
        start.wait()
        try:
            while not failures and (begun := time.perf_counter()) < end:
                work()
                own.append(time.perf_counter() - begun)
        except SemCompError as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=(own,)) for own in found]
    for thread in threads:
        thread.start()
    start.wait()
    begun = time.perf_counter()
    end = begun + _SECONDS.value
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    if failures:
        raise failures[0]
    latencies = 1000 * np.concatenate(found)
    if not len(latencies):
        raise SemCompError("`seconds` is too short for a single request.")
    return {
        "seconds": round(seconds, 3),
        "requests": len(latencies),
        "requests_a_second": round(len(latencies) / seconds, 3),
        "pictures_a_second": round(pictures * len(latencies) / seconds, 3),
        "milliseconds": {
            **{
                f"p{share}": round(float(np.percentile(latencies, share)), 3)
                for share in _PERCENTILES
            },
            "mean": round(float(latencies.mean()), 3),
            "max": round(float(latencies.max()), 3),
        },
    }


def memory() -> float | None:
    """MiB of resident memory of the server; None where nobody tells its process."""
    if _PID.value is None:
        return None
    path = pathlib.Path(f"/proc/{_PID.value}/status")
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise SemCompError(f"{path}: no memory of the server: {error}") from error
    kibibytes = next(int(s.split()[1]) for s in lines if s.startswith("VmRSS:"))
    return round(1024 * kibibytes / _MEBIBYTE, 1)


def describe(codec: base.Codec) -> dict[str, Any]:
    """What was measured."""
    return {
        "server": _SERVER.value,
        "codec": codec.name,
        "model": codec.model or manifest.default_model(codec.name).name,
        "quality": _QUALITY.value or codec.default_quality,
        "side": _SIDE.value,
        "batch": _BATCH.value,
    }


def as_markdown(result: dict[str, Any]) -> str:
    """The rows of all parts as tables."""
    about = result["about"]
    machine = ", ".join(f"{name}: {value}" for name, value in result["machine"].items())
    paragraphs = [
        f"# {about['codec']} on {about['server']}",
        f"Model {about['model']}, quality {about['quality']:g}, {about['side']} pixels "
        f"square, {about['batch']} in a request of predict. {machine}. Commit "
        f"{result['commit']}.",
    ]
    names = [*(f"p{share}" for share in _PERCENTILES), "mean", "max"]
    head = ["clients", "requests/s", "pictures/s", *(f"{n} ms" for n in names)]
    head += ["server MiB before", "after"]
    for part in _PART_NAMES:
        if part in result:
            lines = [
                [
                    str(row["clients"]),
                    str(row["requests_a_second"]),
                    str(row["pictures_a_second"]),
                    *(str(row["milliseconds"][name]) for name in names),
                    *("not told" if m is None else str(m) for m in row["server_MiB"]),
                ]
                for row in result[part]["rows"]
            ]
            paragraphs += [f"## {part}", markdown.table(head, lines)]
    return "\n\n".join(paragraphs) + "\n"


def main(argv: list[str]) -> None:
    """Measures all parts and writes their results."""
    del argv
    out = pathlib.Path(_OUT.value)
    if _SMOKE.value:
        out /= "smoke"
        for name, value in _SMALL.items():
            setattr(flags.FLAGS, name, value)
    codec = tfsemcomp.load(_CODEC.value, server=_SERVER.value)
    photo = images.read(_IMAGE.value)
    side = _SIDE.value
    if min(photo.shape[:2]) < side:
        raise SemCompError(f"{_IMAGE.value}: has less than {side} pixels a side.")
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    picture = np.ascontiguousarray(photo[top : top + side, left : left + side])
    data = codec.compress(picture, quality=_QUALITY.value)
    parts = {
        "about": lambda: describe(codec),
        "predict": lambda: {
            "rows": measure(first_request(codec, picture), _BATCH.value)
        },
        "compress": lambda: {
            "bytes": len(data),
            "rows": measure(lambda: codec.compress(picture, quality=_QUALITY.value), 1),
        },
        "decompress": lambda: {"rows": measure(lambda: codec.decompress(data), 1)},
    }
    path = out / "serving.json"
    result = benchmark_parts.measure(path, ["about", *_PARTS.value], parts)
    images.write_atomic(out / "serving.md", as_markdown(result).encode())
    print(json.dumps({"results": str(path)}))


if __name__ == "__main__":
    app.run(main)
