"""Does every machine decode what every other one encoded, symbol for symbol?

Paper:  none; what is promised is in SECURITY.md, what came out in docs/RELIABILITY.md.
Run:    python recipes/benchmark_determinism.py --images=DATA_DIR/kodak \
            --codecs=hyperprior,rnn,conceptual,layered,semantic_enhanced@mode=corrected
Cost:   for each codec 24 x (2 M + F) encodings and 24 M (2 M + F) decodings, M = 4
        machines and F = `--fresh` photos; whole Kodak photos with hyperprior 20
        minutes on two cores. `--crop=256` takes a fifth.
Result: OUT/determinism.json and .md. The exit code is 1 if a stream did not decode.

The machines are processes on this one: with oneDNN's kernels or with Eigen's, with one
thread or two. Each encodes all photos one by one and in batches of four, and `--fresh`
of them in a new process each. Then each decodes all streams of all machines, one by one
those that were encoded in batches and in batches the others. A stream holds a check of
its decoded symbols, so one that decodes has not a single wrong one. Streams differ
between machines where a latent lies at the border of two integers; that is told, too,
and how far the decoded pixels are apart.
"""

import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import app, flags

from tfsemcomp import images
from tfsemcomp.codecs import base
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import codec_specs

_IMAGES = flags.DEFINE_string("images", None, "Folder of photos.", required=True)
_CODECS = flags.DEFINE_list(
    "codecs", ["hyperprior"], "NAME[:MODEL][:QUALITY][@SETTING=VALUE...] to try."
)
_OUT = flags.DEFINE_string("out", "results/determinism", "Folder for the results.")
_LIMIT = flags.DEFINE_integer("limit", None, "Photos; default: all.", 1)
_CROP = flags.DEFINE_integer("crop", None, "Side of the middle that is taken.", 16)
_FRESH = flags.DEFINE_integer("fresh", 2, "Photos in a process of their own.", 0)
_SMOKE = flags.DEFINE_boolean("smoke", False, "One photo of 48x48, two machines.")
_CHILD = flags.DEFINE_string("child", None, "For the processes of this recipe.")

_MACHINES = {
    f"{kernels}, {threads} thread{'s' * (threads > 1)}": (onednn, threads)
    for (kernels, onednn), threads in itertools.product(
        {"Eigen": "0", "oneDNN": "1"}.items(), (1, 2)
    )
}
_BATCH = 4


def main(argv: Sequence[str]) -> None:
    """Encodes on all machines, decodes on all, tells what differs."""
    del argv
    if _CHILD.value:
        work(pathlib.Path(_CHILD.value))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        count = write_photos(folder / "photos.npz")
        found = {}
        for codec in _CODECS.value:
            found[codec] = measure(codec, folder, count)
            print(f"{codec}: {found[codec]}", flush=True)
    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    facts = {"photos": count, "crop": _CROP.value, "codecs": found}
    text = json.dumps(facts, indent=1) + "\n"
    images.write_atomic(out / "determinism.json", text.encode())
    images.write_atomic(out / "determinism.md", (table(found) + "\n").encode())
    print(table(found))
    if any(one["not decoded"] for one in found.values()):
        sys.exit(1)


def write_photos(path: pathlib.Path) -> int:
    """Stores the photos for the processes, landscape and of one size; their number."""
    files = images.list_images(_IMAGES.value)
    limit = 1 if _SMOKE.value else _LIMIT.value
    crop = 48 if _SMOKE.value else _CROP.value
    photos = [images.read(file) for file in files[:limit]]
    if not photos:
        raise SemCompError(f"{_IMAGES.value}: holds no photos.")
    photos = [p if p.shape[0] <= p.shape[1] else np.rot90(p) for p in photos]
    height = crop or min(photo.shape[0] for photo in photos)
    width = crop or min(photo.shape[1] for photo in photos)
    np.savez(path, np.stack([_middle(photo, height, width) for photo in photos]))
    return len(photos)


def _middle(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
    return photo[top : top + height, left : left + width]


def machines() -> dict[str, tuple[str, int]]:
    """Name -> oneDNN on or off and number of threads."""
    return dict(list(_MACHINES.items())[:2]) if _SMOKE.value else _MACHINES


def measure(codec: str, folder: pathlib.Path, count: int) -> dict[str, Any]:
    """Runs the matrix for one codec."""
    streams: dict[tuple, list[str]] = {}
    everything, ways = list(range(count)), (1, _BATCH)
    fresh = [] if _SMOKE.value else everything[: _FRESH.value]
    for machine in machines():
        jobs = [{"numbers": everything, "batch": batch} for batch in ways]
        results = run(codec, folder, machine, jobs)
        streams |= {
            (machine, way): made for way, made in zip(ways, results, strict=True)
        }
        for number in fresh:
            jobs = [{"numbers": [number], "batch": 1}]
            streams[machine, f"fresh {number}"] = run(codec, folder, machine, jobs)[0]
    # Those of batches one by one, and the others in batches.
    jobs = [
        {"files": files, "batch": 1 if way == _BATCH else _BATCH}
        for (_, way), files in streams.items()
    ]
    shown: dict[str, list] = {}
    for machine in machines():
        for result in run(codec, folder, machine, jobs):
            for decoded in result:
                shown.setdefault(decoded["file"], []).append(decoded)
    return summary(streams, shown, count)


def summary(
    streams: dict[tuple, list], shown: dict[str, list], count: int
) -> dict[str, Any]:
    """Numbers of the table."""
    decoded = [one for many in shown.values() for one in many]
    alike = 0
    for number in range(count):
        made = {files[number] for (_, way), files in streams.items() if way == 1}
        alike += len(made) == 1
    return {
        "decodings": len(decoded),
        "not decoded": sum(one["error"] is not None for one in decoded),
        "errors": sorted({one["error"] for one in decoded if one["error"]}),
        "photos": count,
        "photos whose streams are the same on all machines": alike,
        "exactly the same pixels": sum(
            not any(one["apart"] for one in many) for many in shown.values()
        ),
        "different streams": len(shown),
        "largest difference of a pixel": max(one["apart"] for one in decoded),
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [
        "| codec | decodings | symbols differed in | photos with one stream on all "
        "machines | streams with the same pixels on all | pixels differ by at most |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        lines.append(
            f"| {name} | {one['decodings']} | {one['not decoded']} | "
            f"{one['photos whose streams are the same on all machines']} of "
            f"{one['photos']} | {one['exactly the same pixels']} of "
            f"{one['different streams']} | {one['largest difference of a pixel']} |"
        )
    return "\n".join(lines)


def run(
    codec: str, folder: pathlib.Path, machine: str, jobs: list[dict[str, Any]]
) -> list[Any]:
    """Lets a process with the machine's settings do jobs; returns their results."""
    onednn, threads = _MACHINES[machine]
    text = json.dumps({"codec": codec, "threads": threads, "jobs": jobs})
    (folder / "jobs.json").write_text(text)
    command = [sys.executable, __file__, f"--images={_IMAGES.value}"]
    done = subprocess.run(
        [*command, f"--child={folder}"],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SemCompError(f"{codec} on {machine}: {done.stderr[-1000:]}")
    return json.loads((folder / "results.json").read_text())


def work(folder: pathlib.Path) -> None:
    """What a process does: jobs.json, whose results become results.json beside it."""
    import tensorflow as tf

    plan = json.loads((folder / "jobs.json").read_text())
    tf.config.threading.set_intra_op_parallelism_threads(plan["threads"])
    codec, settings = parse(plan["codec"])
    seen = folder / "seen" / hashlib.sha256(plan["codec"].encode()).hexdigest()
    seen.mkdir(parents=True, exist_ok=True)
    with np.load(folder / "photos.npz", allow_pickle=False) as file:
        photos = file["arr_0"]
    results = []
    for job in plan["jobs"]:
        done: list[Any] = []
        for numbers in cut(job.get("numbers", []), job["batch"]):
            made = codec.compress_batch(list(photos[numbers]), **settings)
            done += [stream.hex() for stream in made]
        for files in cut(job.get("files", []), job["batch"]):
            done += show(codec, files, seen)
        results.append(done)
    (folder / "results.json").write_text(json.dumps(results))


def parse(text: str) -> tuple[base.Codec, dict[str, Any]]:
    """The codec, and how it compresses: at its own quality unless one is named."""
    jobs = codec_specs.parse(text)
    settings = dict(jobs[0].arguments)
    if len(jobs) > 1:
        del settings["quality"]
    return jobs[0].codec, settings


def cut(items: Sequence, size: int) -> Iterator[Sequence]:
    """Consecutive parts of so many items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def show(codec: Any, files: Sequence[str], seen: pathlib.Path) -> list[dict[str, Any]]:
    """What a batch of streams decodes to, or why it does not.

    Args:
        codec: decodes them.
        files: hexadecimal.
        seen: folder of the pictures that the first machine made of each stream.
    """
    try:
        pictures = codec.decompress_batch([bytes.fromhex(file) for file in files])
    except SemCompError as error:
        return [{"file": file, "error": str(error), "apart": 0} for file in files]
    return [
        {"file": file, "error": None, "apart": _apart(picture, file, seen)}
        for file, picture in zip(files, pictures, strict=True)
    ]


def _apart(picture: np.ndarray, file: str, seen: pathlib.Path) -> int:
    """The largest difference of a pixel from what was seen first."""
    path = seen / f"{hashlib.sha256(file.encode()).hexdigest()}.npy"
    if not path.exists():
        np.save(path, picture)
    first = np.load(path, allow_pickle=False).astype(np.int16)
    return int(np.abs(first - picture).max())


if __name__ == "__main__":
    app.run(main)
