"""One machine of the portability tests: a process with its own kernels and threads.

Run:    python -m tests.codecs.hyperprior_child FOLDER NAME THREADS
Input:  lines `encode` and `decode`; each is answered by `done`.

FOLDER holds images.npy (uint8 [24,H,W,3]), models/, wide/1 (signatures `double` and
`single`) and z.npy. `encode` writes NAME/1 and NAME/4, the streams of single pictures
and of batches of four, and NAME/indexes.npz. `decode` decodes what all machines
encoded, one by one and in batches, into NAME/pictures.npz.
"""

import pathlib
import sys

import numpy as np
import tensorflow as tf

import tfsemcomp

BATCHES = (1, 4)


def main(folder: str, name: str, threads: str) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    root = pathlib.Path(folder)
    actions = {"encode": encode, "decode": decode}
    for line in sys.stdin:
        actions[line.strip()](root, root / name)
        print("done", flush=True)


def cut(items, batch: int) -> list:
    return [items[i : i + batch] for i in range(0, len(items), batch)]


def encode(root: pathlib.Path, own: pathlib.Path) -> None:
    images, codec = np.load(root / "images.npy"), tfsemcomp.load("mean")
    wide, z = tf.saved_model.load(str(root / "wide" / "1")), np.load(root / "z.npy")
    indexes = {}
    for batch in BATCHES:
        streams = [s for part in cut(images, batch) for s in codec.compress_batch(part)]
        (own / str(batch)).mkdir(parents=True)
        for number, stream in enumerate(streams):
            (own / str(batch) / f"{number:02}").write_bytes(stream)
        for precision in ("double", "single"):
            call = wide.signatures[precision]
            found = [call(z=tf.constant(part))["index"] for part in cut(z, batch)]
            indexes[f"{precision}{batch}"] = np.concatenate(found)
    np.savez(own / "indexes.npz", **indexes)


def decode(root: pathlib.Path, own: pathlib.Path) -> None:
    codec, pictures = tfsemcomp.load("mean"), {}
    for streams in sorted(root.glob("*/[14]")):
        if not (streams / "00").exists():
            continue
        data = [path.read_bytes() for path in sorted(streams.iterdir())]
        for batch in BATCHES:
            parts = [codec.decompress_batch(part) for part in cut(data, batch)]
            name = f"{streams.parent.name}/{streams.name}/{batch}"
            pictures[name] = np.concatenate(parts)
    np.savez(own / "pictures.npz", **pictures)


if __name__ == "__main__":
    main(*sys.argv[1:])
