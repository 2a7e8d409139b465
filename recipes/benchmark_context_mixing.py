"""How many bytes do label and edge maps take? Our coder beside lossless codecs.

Paper:  none: it measures `tfsemcomp/entropy/context_mixing.py`; docs/BITSTREAM.md,
        "Planes".
Run:    python recipes/benchmark_context_mixing.py --data_dir=DIR
        (DIR/camvid, DIR/bsds500, DIR/kodak)
Needs:  pip install tfsemcomp[bench] (JPEG XL); pbmtojbg of JBIG-KIT, or that column is
        left out.
Cost:   about 10 minutes on one core, most of it JPEG XL's; leave the machine idle.
Expect: half the bytes of JPEG XL for label maps, 85 % for edge maps.
Result: OUT/context_mixing.json and .md.

Sets (`--sets`):
  camvid          label maps of CamVid's validation split, 12 classes
  bsds500, kodak  edge maps (tfsemcomp/semantics/edges.py, `--method`, `--threshold`) of
                  BSDS500's validation split and of the Kodak photos, at 1/1, 1/2, 1/4
Means are of whole files, or of the plane's payload in ours, in bytes; every one was
decoded and compared. "primed" starts from maps of the training split (camvid) or of
BSDS500's training photos at the same scale. Rivals get what suits them best: 1-bit PNG
and 0 and 255 or 0 and 1 for edges, whichever is smaller.

Times (`--times`): seconds each way for a label map of 1024x512 that is put together
from four of CamVid, for the first edge map of each set, and to the end of the first
call in a process with an empty cache of compiled code, and with a full one.
"""

import functools
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tqdm
from absl import app, flags
from PIL import Image, features

from tfsemcomp import images
from tfsemcomp.data import label_maps
from tfsemcomp.entropy import context_mixing
from tfsemcomp.errors import SemCompError
from tfsemcomp.evaluation import markdown, provenance, timing
from tfsemcomp.semantics import edges

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the sets.", required=True)
_OUT = flags.DEFINE_string("out", "results/context_mixing", "Folder for the results.")
_SETS = flags.DEFINE_list("sets", ["camvid", "bsds500", "kodak"], "What to measure.")
_METHOD = flags.DEFINE_enum(
    "method", edges.DEFAULT_METHOD, edges.METHODS, "How edges are found."
)
_THRESHOLD = flags.DEFINE_float("threshold", None, "Of the method; default: its own.")
_LIMIT = flags.DEFINE_integer("limit", None, "Maps of a set; default: all.", 1)
_PRIMING = flags.DEFINE_integer("priming_maps", 200, "Maps to learn from, at most.", 1)
_TIMES = flags.DEFINE_boolean("times", True, "Measure times, too.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Runs whose median counts.", 1)
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two maps of each, once.")
flags.register_validator(
    "sets",
    lambda found: found and set(found) <= {"camvid", "bsds500", "kodak"},
    message="must be some of camvid, bsds500, kodak",
)

_CLASSES = 12
_WIDE = (512, 1024)
_JBIG = "pbmtojbg"
_UNJBIG = "jbgtopbm"
_TIMEOUT_S = 60

# Runs in a process of its own: seconds from the import to the end of the first call.
_FIRST_CALL = """
import time
start = time.perf_counter()
import sys
import numpy as np
from tfsemcomp.entropy import context_mixing
context_mixing.encode(np.zeros((8, 8), np.uint8), int(sys.argv[1]))
print(time.perf_counter() - start)
"""

# An encoder and its decoder: plane uint8 [H,W] -> file, file -> plane.
Coder = tuple[Callable[[np.ndarray], bytes], Callable[[bytes], np.ndarray]]


def spread(paths: Sequence[pathlib.Path], limit: int | None) -> list[pathlib.Path]:
    """At most `limit` of the paths, evenly spread."""
    if not paths:
        raise SemCompError("a set has no picture; see --data_dir.")
    limit = min(limit or len(paths), 2 if _SMOKE.value else len(paths), len(paths))
    return [paths[i] for i in np.linspace(0, len(paths) - 1, limit).astype(int)]


def listed(*parts: str, limit: int | None) -> list[pathlib.Path]:
    """Pictures of a folder of the data."""
    return spread(images.list_images(os.path.join(_DATA_DIR.value, *parts)), limit)


def edge_maps(paths: Sequence[pathlib.Path]) -> list[np.ndarray]:
    """Edge maps of photos at full size, uint8 [H,W] of 0 and 1."""
    return [
        edges.extract(images.read(path), _METHOD.value, threshold=_THRESHOLD.value)
        for path in paths
    ]


def _picture(plane: np.ndarray, form: str, **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(plane).save(content, form, **options)
    return content.getvalue()


def _first_channel(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        values = np.array(picture)
    return values if values.ndim == 2 else values[..., 0]


def _lines(data: bytes) -> np.ndarray:
    return (_first_channel(data) > 0).astype(np.uint8)


def _smaller(encode: Callable[[np.ndarray], bytes]) -> Callable[[np.ndarray], bytes]:
    """The smaller file of lines of value 1 and of lines of value 255."""
    return lambda plane: min(encode(plane), encode(255 * plane), key=len)


def _webp(plane: np.ndarray) -> bytes:
    whole = np.repeat(plane[..., None], 3, axis=2)
    return _picture(whole, "WEBP", lossless=True, quality=100, method=6)


def _jxl(plane: np.ndarray) -> bytes:
    return _picture(plane, "JXL", lossless=True, effort=9)


def _bilevel(form: str, **options: Any) -> Callable[[np.ndarray], bytes]:
    return lambda plane: _picture(plane.astype(bool), form, **options)


def _run(command: list[str], data: bytes) -> bytes:
    done = subprocess.run(
        [*command, "-"],
        input=data,
        capture_output=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    if done.returncode:
        raise SemCompError(f"{command[0]} failed: {done.stderr.decode()[-200:]!r}")
    return done.stdout


def _jbig(plane: np.ndarray) -> bytes:
    return _run([_JBIG, "-q"], _picture(plane == 0, "PPM"))


def _unjbig(data: bytes) -> np.ndarray:
    return (_first_channel(_run([_UNJBIG], data)) == 0).astype(np.uint8)


def rivals(symbols: int) -> dict[str, Coder]:
    """Lossless codecs for planes of so many symbols, by name."""
    try:
        import pillow_jxl  # noqa: F401
    except ImportError as error:
        raise SemCompError(
            "JPEG XL is missing: pip install 'tfsemcomp[bench]'."
        ) from error
    if symbols > 2:
        return {
            "PNG": (label_maps.encode, label_maps.decode),
            "WebP": (_webp, _first_channel),
            "JPEG XL e9": (_jxl, _first_channel),
        }
    found = {
        "PNG": (_bilevel("PNG", optimize=True), _lines),
        "WebP": (_smaller(_webp), _lines),
        "JPEG XL e9": (_smaller(_jxl), _lines),
    }
    if features.check("libtiff"):
        found["TIFF G4"] = (_bilevel("TIFF", compression="group4"), _lines)
    if shutil.which(_JBIG) and shutil.which(_UNJBIG):
        found["JBIG"] = (_jbig, _unjbig)
    return found


def ours(symbols: int, primed: context_mixing.Primed, size: tuple[int, int]) -> dict:
    """Our coder for planes of one size, cold and primed, by name."""
    height, width = size
    return {
        name: (
            functools.partial(context_mixing.encode, symbols=symbols, primed=start),
            functools.partial(
                context_mixing.decode,
                height=height,
                width=width,
                symbols=symbols,
                primed=start,
            ),
        )
        for name, start in (("ours, cold", None), ("ours, primed", primed))
    }


def measure(
    planes: Sequence[np.ndarray], symbols: int, primed: context_mixing.Primed
) -> dict[str, Any]:
    """Mean bytes of each coder, every file decoded and compared."""
    sizes: dict[str, list[int]] = {}
    for plane in tqdm.tqdm(planes, disable=None):
        coders = rivals(symbols) | ours(symbols, primed, plane.shape)
        for name, (encode, decode) in coders.items():
            data = encode(plane)
            if not np.array_equal(decode(data), plane):
                raise SemCompError(f"{name} did not give back what it was given.")
            sizes.setdefault(name, []).append(len(data))
    means = {name: float(np.mean(found)) for name, found in sizes.items()}
    return {
        "maps": len(planes),
        "pixels": float(np.mean([plane.size for plane in planes])),
        "density": float(np.mean([np.mean(plane > 0) for plane in planes])),
        "bytes": means,
        "of JPEG XL": {k: v / means["JPEG XL e9"] for k, v in means.items()},
        "range": {name: [min(found), max(found)] for name, found in sizes.items()},
    }


def measure_labels() -> dict[str, Any]:
    """CamVid."""
    train = listed("camvid", "labels", "train", limit=_PRIMING.value)
    test = listed("camvid", "labels", "val", limit=_LIMIT.value)
    primed = context_mixing.prime(map(label_maps.read, train), _CLASSES)
    planes = [label_maps.read(path) for path in test]
    return {"camvid labels": measure(planes, _CLASSES, primed)}


def measure_edges(names: Sequence[str]) -> dict[str, Any]:
    """Edge maps of sets of photos at each scale."""
    train = listed("bsds500", "images", "train", limit=_PRIMING.value)
    learnt = edge_maps(train)
    folders = {"bsds500": ("bsds500", "images", "val"), "kodak": ("kodak",)}
    found = {
        name: edge_maps(listed(*folders[name], limit=_LIMIT.value)) for name in names
    }
    result = {}
    for scale in edges.SCALES:
        primed = context_mixing.prime(
            (edges.downscale(plane, scale) for plane in learnt), 2
        )
        for name, planes in found.items():
            small = [edges.downscale(plane, scale) for plane in planes]
            result[f"{name} edges 1/{scale}"] = measure(small, 2, primed)
    return result


def wide_labels() -> np.ndarray:
    """A label map of 1024x512 from four of CamVid."""
    paths = images.list_images(os.path.join(_DATA_DIR.value, "camvid/labels/val"))
    maps = [label_maps.read(path) for path in (spread(paths, 4) * 4)[:4]]
    rows = [np.hstack(maps[:2]), np.hstack(maps[2:])]
    whole = np.vstack(rows)
    factors = [-(-want // have) for want, have in zip(_WIDE, whole.shape, strict=True)]
    return np.tile(whole, factors)[: _WIDE[0], : _WIDE[1]]


def first_call(symbols: int, cache: str) -> float:
    """Seconds of the import and the first call in a new process."""
    root = pathlib.Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_CALL, str(symbols)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(root)},
    )
    if done.returncode:
        raise SemCompError(f"the first call failed: {done.stderr[-300:]}")
    return float(done.stdout)


def measure_times() -> dict[str, Any]:
    """Seconds of first calls, and of both ways once compiled."""
    result: dict[str, Any] = {}
    for name, symbols in (("labels", _CLASSES), ("edges", 2)):
        with tempfile.TemporaryDirectory() as cache:
            result[f"{name}, first call, compiling"] = first_call(symbols, cache)
            result[f"{name}, first call, compiled"] = first_call(symbols, cache)
    planes = {}
    if "camvid" in _SETS.value:
        planes["labels 1024x512"] = (wide_labels(), _CLASSES)
    folders = {"bsds500": ("bsds500", "images", "val"), "kodak": ("kodak",)}
    for name in folders.keys() & set(_SETS.value):
        plane = edge_maps(listed(*folders[name], limit=1))[0]
        planes[f"{name} edges"] = (plane, 2)
    repeats = 1 if _SMOKE.value else _REPEATS.value
    for name, (plane, symbols) in planes.items():
        data = context_mixing.encode(plane, symbols)
        works = {
            f"{name}, encode": lambda p=plane, s=symbols: context_mixing.encode(p, s),
            f"{name}, decode": lambda d=data, p=plane, s=symbols: context_mixing.decode(
                d, *p.shape, s
            ),
        }
        result |= timing.seconds(works, repeats)
    return result


def describe(result: dict[str, Any]) -> str:
    """The result as tables in Markdown."""
    found = result["sets"]
    coders = list(
        dict.fromkeys(name for one in found.values() for name in one["bytes"])
    )
    lines = [
        [
            name,
            str(one["maps"]),
            *(f"{one['bytes'][c]:.0f}" if c in one["bytes"] else "-" for c in coders),
            *(f"{one['of JPEG XL'][c]:.3f}" for c in ("ours, cold", "ours, primed")),
        ]
        for name, one in found.items()
    ]
    head = ["mean bytes", "maps", *coders, "cold / JPEG XL", "primed / JPEG XL"]
    text = markdown.table(head, lines)
    if "seconds" in result:
        times = [[name, f"{value:.3f}"] for name, value in result["seconds"].items()]
        text += "\n\n" + markdown.table(["what", "seconds"], times)
    return text + "\n"


def main(argv: list[str]) -> None:
    """Measures and writes the results."""
    del argv
    start = time.perf_counter()
    sets: dict[str, Any] = {}
    if "camvid" in _SETS.value:
        sets |= measure_labels()
    photos = [name for name in ("bsds500", "kodak") if name in _SETS.value]
    if photos:
        sets |= measure_edges(photos)
    result: dict[str, Any] = {"sets": sets}
    if _TIMES.value:
        result["seconds"] = measure_times()
    result |= {
        "method": _METHOD.value,
        "threshold": _THRESHOLD.value,
        "priming_maps": _PRIMING.value,
        "spent_s": time.perf_counter() - start,
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
    }
    text = describe(result)
    out = pathlib.Path(_OUT.value)
    if _SMOKE.value:
        out /= "smoke"
    out.mkdir(parents=True, exist_ok=True)
    content = json.dumps(result, indent=1) + "\n"
    images.write_atomic(out / "context_mixing.json", content.encode())
    images.write_atomic(out / "context_mixing.md", text.encode())
    print(text)


if __name__ == "__main__":
    app.run(main)
