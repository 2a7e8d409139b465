"""How many bytes does a caption take? Builds the tables of words, and measures them.

Paper:  none: it measures `tfsemcomp/entropy/text.py`; docs/text.md.
Run:    python tfrecords_tools/build_records.py --dataset=captions --input=DIR \
            --out=records/captions --test_share=0.1
        python recipes/benchmark_text.py --data=records/captions:train \
            --held_out=records/captions:test --out=runs/text
Needs:  pip install tfsemcomp[bench] (Brotli, Zstandard).
Cost:   15 seconds for 5,000 captions on one core.
Expect: 10.8 bytes in the mean of 520 held-out captions, most of Flickr8k's.
Result: OUT/vocabulary.json and OUT/text.npz, the files that lie beside models; and
        OUT/text_coding.json and .md.

All captions of a photo are in one split, and tables, vocabulary and the others'
dictionaries are made of the training captions only. Bytes are means over held-out
captions, each coded alone and decoded to the very same text:

  UTF-8               as it is
  DEFLATE             zlib's level 9 without header and checksum; + dictionary: the last
                      32 kB of training captions
  Brotli              quality 11, text mode, with its own dictionary of English words
  Zstandard           level 19 without header; + dictionary: trained on the captions
  ours                `entropy.text`
"""

import functools
import pathlib
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tqdm
from absl import app, flags

from tfsemcomp import images
from tfsemcomp.data import captions, records
from tfsemcomp.entropy import text
from tfsemcomp.errors import SemCompError, UnavailableError
from tfsemcomp.evaluation import benchmark_parts, markdown, timing
from tfsemcomp.semantics import vocabulary

_DATA = flags.DEFINE_list(
    "data", None, "folder:split pairs whose captions make the tables.", required=True
)
_HELD_OUT = flags.DEFINE_list(
    "held_out", None, "folder:split pairs to measure on.", required=True
)
_OUT = flags.DEFINE_string("out", "results/text", "Folder for the results.")
_LEAST = flags.DEFINE_integer("least", 2, "Times that a word of the vocabulary is.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Runs whose median counts.", 1)
_SMOKE = flags.DEFINE_boolean("smoke", False, "A few captions.")

_WINDOW = 2**15
_TRAINED_BYTES = 112640
# No dictionary can be trained to less.
_LEAST_TRAINED_BYTES = 512
_SMOKE_CAPTIONS = 40
# Captions at a time when measuring seconds.
_TIMED = 50

# An encoder and its decoder.
Coder = tuple[Callable[[str], bytes], Callable[[bytes], str]]


def read(sources: Sequence[str]) -> list[str]:
    """All captions of records."""
    found = captions.of_records([records.parse_source(source) for source in sources])
    if not found:
        raise SemCompError(f"{', '.join(sources)}: no record has a caption.")
    return found[:_SMOKE_CAPTIONS] if _SMOKE.value else found


def deflate(dictionary: bytes = b"") -> Coder:
    """Raw DEFLATE, with or without a dictionary."""
    options = {"zdict": dictionary} if dictionary else {}

    def encode(caption: str) -> bytes:
        coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, **options)
        return coder.compress(caption.encode()) + coder.flush()

    def decode(data: bytes) -> str:
        return zlib.decompressobj(-15, **options).decompress(data).decode()

    return encode, decode


def brotli_coder() -> Coder:
    """Brotli, as text."""
    brotli = _imported("brotli")

    def encode(caption: str) -> bytes:
        return brotli.compress(caption.encode(), mode=brotli.MODE_TEXT, quality=11)

    return encode, lambda data: brotli.decompress(data).decode()


def zstandard_coder(train: Sequence[str], trained: bool) -> Coder:
    """Zstandard without what tells its format, with or without a dictionary."""
    zstandard = _imported("zstandard")
    options: dict[str, Any] = {"format": zstandard.FORMAT_ZSTD1_MAGICLESS}
    plain = zstandard.ZstdCompressionParameters.from_level(
        19, write_content_size=False, write_dict_id=False, **options
    )
    shared = {}
    if trained:
        samples = [caption.encode() for caption in train]
        size = min(_TRAINED_BYTES, sum(map(len, samples)) // 8)
        size = max(size, _LEAST_TRAINED_BYTES)
        shared = {"dict_data": zstandard.train_dictionary(size, samples)}
    compressor = zstandard.ZstdCompressor(compression_params=plain, **shared)
    decompressor = zstandard.ZstdDecompressor(**options, **shared)

    def decode(data: bytes) -> str:
        return decompressor.decompress(data, max_output_size=text.MOST_BYTES).decode()

    return lambda caption: compressor.compress(caption.encode()), decode


def _imported(name: str):
    try:
        return __import__(name)
    except ImportError as error:
        raise UnavailableError(
            f"{name} is missing: pip install 'tfsemcomp[bench]'."
        ) from error


def coders(train: Sequence[str], model: text.TextModel) -> dict[str, Coder]:
    """What is measured, by name."""
    dictionary = "\n".join(train).encode()[-_WINDOW:]
    return {
        "UTF-8": (str.encode, bytes.decode),
        "DEFLATE": deflate(),
        "Brotli": brotli_coder(),
        "Zstandard": zstandard_coder(train, trained=False),
        "DEFLATE + dictionary": deflate(dictionary),
        "Zstandard + dictionary": zstandard_coder(train, trained=True),
        "ours": (
            functools.partial(text.encode, model=model),
            functools.partial(text.decode, model=model),
        ),
    }


def measure(
    held_out: Sequence[str], found: dict[str, Coder]
) -> dict[str, dict[str, float]]:
    """Bytes of each coder, every caption decoded and compared."""
    sizes: dict[str, list[int]] = {name: [] for name in found}
    for caption in tqdm.tqdm(held_out, disable=None):
        for name, (encode, decode) in found.items():
            data = encode(caption)
            if decode(data) != caption:
                raise SemCompError(f"{name} did not give back '{caption}'.")
            sizes[name].append(len(data))
    return {
        name: {
            "mean": float(np.mean(values)),
            "median": float(np.median(values)),
            "most": max(values),
        }
        for name, values in sizes.items()
    }


def describe(result: dict[str, Any]) -> str:
    """What was measured as a table in Markdown."""
    coded = result["coding"]["bytes"]
    rows = [
        [name, *(f"{one[kind]:.1f}" for kind in ("mean", "median", "most"))]
        for name, one in coded.items()
    ]
    head = ["bytes of a caption", "mean", "median", "most"]
    facts = {**result["coding"]["captions"], **result["times"]}
    told = [[name, f"{value:g}"] for name, value in facts.items()]
    tables = [markdown.table(head, rows), markdown.table(["what", "value"], told)]
    return "\n\n".join(tables) + "\n"


def main(argv: list[str]) -> None:
    """Builds the tables, measures them and writes both."""
    del argv
    out = pathlib.Path(_OUT.value)
    if _SMOKE.value:
        out /= "smoke"
    out.mkdir(parents=True, exist_ok=True)
    train, held_out = read(_DATA.value), read(_HELD_OUT.value)
    words = vocabulary.build(train, _LEAST.value)
    model = text.build(train, words)
    vocabulary.save(out / vocabulary.FILE_NAME, words)
    text.save(out / text.FILE_NAME, model)
    # What is in the file is what is measured.
    model = text.load(out / text.FILE_NAME)

    def coding() -> dict[str, Any]:
        tokens = [vocabulary.tokens(caption) for caption in held_out]
        unknown = sum(t not in words.numbers for caption in tokens for t in caption)
        return {
            "captions": {
                "training captions": len(train),
                "held-out captions": len(held_out),
                "words of the vocabulary": len(words.words),
                "words of a caption": float(np.mean([len(t) for t in tokens])),
                "share of words spelled": unknown / sum(map(len, tokens)),
                "bytes of text.npz": (out / text.FILE_NAME).stat().st_size,
            },
            "bytes": measure(held_out, coders(train, model)),
        }

    def times() -> dict[str, float]:
        few = held_out[:_TIMED]
        coded = [text.encode(caption, model) for caption in few]
        works = {
            "encode": lambda: [text.encode(caption, model) for caption in few],
            "decode": lambda: [text.decode(data, model) for data in coded],
        }
        seconds = timing.seconds(works, 1 if _SMOKE.value else _REPEATS.value)
        return {f"ms to {k} one": 1e3 * v / len(few) for k, v in seconds.items()}

    path = out / "text_coding.json"
    parts = {"coding": coding, "times": times}
    result = benchmark_parts.measure(path, list(parts), parts)
    table = describe(result)
    images.write_atomic(path.with_suffix(".md"), table.encode("utf-8"))
    print(table)


if __name__ == "__main__":
    app.run(main)
