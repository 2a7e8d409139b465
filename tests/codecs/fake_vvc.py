"""Stands for the programs of VVC: keeps the frame, and logs what it was asked."""

import array
import pathlib
import sys


def encode(program: str, options: dict[str, str]) -> None:
    """Writes a stream that holds the frame."""
    frame = pathlib.Path(options["-i"]).read_bytes()
    if program == "vvencapp":
        width, height = map(int, options["-s"].split("x"))
        target, size = options["-o"], width * height * 3 // 2
    else:
        width, height = int(options["-wdt"]), int(options["-hgt"])
        target, size = options["-b"], width * height
    if len(frame) != size:
        sys.exit("a frame of another size")
    pathlib.Path(target).write_bytes(b"266" + frame)


def decode(program: str, options: dict[str, str]) -> None:
    """Writes the frame of a stream; vvdecapp in ten bits, a little brighter."""
    data = pathlib.Path(options["-b"]).read_bytes()
    if not data.startswith(b"266"):
        sys.exit("no stream\nof VVC")
    frame = data[3:]
    if program == "vvdecapp":
        frame = array.array("H", [4 * sample + 1 for sample in frame]).tobytes()
    pathlib.Path(options["-o"]).write_bytes(frame)


def main(argv: list[str]) -> None:
    """Does what the program of that name would do."""
    program = pathlib.Path(argv[0])
    with open(program.with_name("log"), "a", encoding="utf-8") as log:
        log.write(" ".join([program.name, *argv[1:]]) + "\n")
    options = dict(zip(argv[1:], argv[2:], strict=False))
    if program.name in ("vvencapp", "EncoderApp"):
        encode(program.name, options)
    else:
        decode(program.name, options)
