"""Searches for bytes that break a decoder, led by the branches that they reach.

Run:    python -m tests.fuzz.deep TARGET SECONDS        (pip install atheris)
Result: build/fuzz/TARGET holds the inputs that reached something new, and crash-*,
        timeout-* and oom-* what was found; the exit code is then not 0. Copy findings
        to tests/fuzz/samples/TARGET-*.input, where test_decoders.py tries them.
"""

import contextlib
import pathlib
import sys

import atheris

with atheris.instrument_imports(include=["tfsemcomp"]):
    from tests.fuzz import decoders
    from tfsemcomp.errors import SemCompError

_FOLDER = pathlib.Path("build/fuzz")
_LONGEST = 512
_SECONDS_A_CALL = 2
_MEGABYTES = 3072


def main() -> None:
    """Fuzzes one target."""
    name, seconds = sys.argv[1:]
    folder = _FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(decoders.SEEDS[name]()):
        (folder / f"seed-{number}").write_bytes(seed)

    def call(data: bytes) -> None:
        with contextlib.suppress(SemCompError):
            decoders.TARGETS[name](data)

    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST}",
        f"-timeout={_SECONDS_A_CALL}",
        f"-rss_limit_mb={_MEGABYTES}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *flags, str(folder)], call)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
