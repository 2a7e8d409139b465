"""How many bytes do label and edge maps take? Our coder beside lossless codecs.

Paper:  none: it measures `tfsemcomp/entropy/context_mixing.py`; docs/BITSTREAM.md,
        "Planes".
Run:    python recipes/benchmark_context_mixing.py --data_dir=DIR
        (DIR/camvid, DIR/bsds500, DIR/kodak)
Needs:  pip install tfsemcomp[bench] (JPEG XL); pbmtojbg of JBIG-KIT, or that column is
        left out.
Cost:   about 15 minutes on one core, most of it JPEG XL's; leave the machine idle.
Expect: of the bytes of JPEG XL, with --priming_maps=400 and
        --priming_photos=train_photos,bsds500/images/train: 46 % for label maps, 49 %
        cold; for edge maps of BSDS500 80 to 86 % primed and 85 to 91 % cold, of Kodak
        81 to 87 % and 84 to 91 %.
Result: OUT/context_mixing.json and .md; parts that were measured before stay.

Parts:
  camvid          label maps of CamVid's validation split, 12 classes
  bsds500, kodak  edge maps (tfsemcomp/semantics/edges.py, `--method`, `--threshold`) of
                  BSDS500's validation split and of the Kodak photos, at 1/1, 1/2, 1/4
  times           seconds to encode and to decode a label map of 1024x512 that is put
                  together from four of CamVid, and a photo's edge map; and of the first
                  call in a process, with an empty cache of compiled code and a full one

Bytes are means of whole files, in ours of the plane's payload; all were decoded and
compared. "primed" starts from maps of CamVid's training split, or from edges of
`--priming_photos` at the same scale. Rivals get what suits them best: 1-bit PNG, and
for WebP and JPEG XL the smaller one of lines of value 1 and of value 255.
"""

import functools
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
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
from tfsemcomp.evaluation import benchmark_parts, markdown, timing
from tfsemcomp.semantics import edges

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the sets.", required=True)
_OUT = flags.DEFINE_string("out", "results/context_mixing", "Folder for the results.")
_PARTS = flags.DEFINE_list(
    "parts", ["camvid", "bsds500", "kodak", "times"], "What to measure."
)
_METHOD = flags.DEFINE_enum(
    "method", edges.DEFAULT_METHOD, edges.METHODS, "How edges are found."
)
_THRESHOLD = flags.DEFINE_float("threshold", None, "Of the method; default: its own.")
_LIMIT = flags.DEFINE_integer("limit", None, "Maps of a set; default: all.", 1)
_PRIMING = flags.DEFINE_integer(
    "priming_maps", 200, "Maps of a folder to learn from, at most.", 1
)
_PHOTOS = flags.DEFINE_list(
    "priming_photos",
    ["bsds500/images/train"],
    "Folders in --data_dir of photos whose edges are learnt; the last counts most.",
)
_REPEATS = flags.DEFINE_integer("repeats", 7, "Runs whose median counts.", 1)
_SMOKE = flags.DEFINE_boolean("smoke", False, "Two maps of each, once.")

_SETS = ("camvid", "bsds500", "kodak")
_FOLDERS = {"bsds500": "bsds500/images/val", "kodak": "kodak"}
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


def listed(folder: str, limit: int | None) -> list[pathlib.Path]:
    """At most `limit` pictures of a folder of the data, evenly spread."""
    paths = images.list_images(os.path.join(_DATA_DIR.value, folder))
    if not paths:
        raise SemCompError(f"{folder} has no picture; see --data_dir.")
    limit = min(limit or len(paths), 2 if _SMOKE.value else len(paths), len(paths))
    return [paths[i] for i in np.linspace(0, len(paths) - 1, limit).astype(int)]


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
    """CamVid's label maps."""
    train = listed("camvid/labels/train", _PRIMING.value)
    test = listed("camvid/labels/val", _LIMIT.value)
    primed = context_mixing.prime(map(label_maps.read, train), _CLASSES)
    planes = [label_maps.read(path) for path in test]
    return {"labels": measure(planes, _CLASSES, primed)}


def measure_edges(folder: str) -> dict[str, Any]:
    """Edge maps of a folder of photos at each scale."""
    paths = [path for one in _PHOTOS.value for path in listed(one, _PRIMING.value)]
    learnt = edge_maps(paths)
    planes = edge_maps(listed(folder, _LIMIT.value))
    result = {
        "method": _METHOD.value,
        "threshold": _THRESHOLD.value,
        "learnt": len(learnt),
    }
    for scale in edges.SCALES:
        smaller = functools.partial(edges.downscale, scale=scale)
        primed = context_mixing.prime(map(smaller, learnt), 2)
        result[f"edges 1/{scale}"] = measure(list(map(smaller, planes)), 2, primed)
    return result


def wide_labels() -> np.ndarray:
    """A label map of 1024x512 from four of CamVid."""
    paths = (4 * listed("camvid/labels/val", 4))[:4]
    maps = [label_maps.read(path) for path in paths]
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


def measure_times() -> dict[str, float]:
    """Seconds of first calls, and of both ways once compiled."""
    result: dict[str, float] = {}
    for name, symbols in (("labels", _CLASSES), ("edges", 2)):
        with tempfile.TemporaryDirectory() as cache:
            result[f"{name}, first call, compiling"] = first_call(symbols, cache)
            result[f"{name}, first call, compiled"] = first_call(symbols, cache)
    planes = {
        "labels 1024x512": (wide_labels(), _CLASSES),
        "edges of a photo": (edge_maps(listed(_FOLDERS["bsds500"], 1))[0], 2),
    }
    works: dict[str, Callable[[], Any]] = {}
    for name, (plane, symbols) in planes.items():
        data = context_mixing.encode(plane, symbols)
        works[f"{name}, encode"] = functools.partial(
            context_mixing.encode, plane, symbols
        )
        works[f"{name}, decode"] = functools.partial(
            context_mixing.decode, data, *plane.shape, symbols
        )
    return result | timing.seconds(works, 1 if _SMOKE.value else _REPEATS.value)


def describe(result: dict[str, Any]) -> str:
    """What was measured as tables in Markdown."""
    found = {
        f"{part} {name}": one
        for part in _SETS
        for name, one in result.get(part, {}).items()
        if isinstance(one, dict)
    }
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
    times = [[what, f"{value:.3f}"] for what, value in result.get("times", {}).items()]
    tables = [markdown.table(head, lines), markdown.table(["what", "seconds"], times)]
    return "\n\n".join(tables) + "\n"


def main(argv: list[str]) -> None:
    """Measures the parts and writes their results."""
    del argv
    out = pathlib.Path(_OUT.value)
    if _SMOKE.value:
        out /= "smoke"
    parts: dict[str, Callable[[], dict[str, Any]]] = {"camvid": measure_labels}
    for name, folder in _FOLDERS.items():
        parts[name] = functools.partial(measure_edges, folder)
    parts["times"] = measure_times
    path = out / "context_mixing.json"
    result = benchmark_parts.measure(path, _PARTS.value, parts)
    text = describe(result)
    images.write_atomic(path.with_suffix(".md"), text.encode("utf-8"))
    print(text)


if __name__ == "__main__":
    app.run(main)
