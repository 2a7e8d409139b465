"""The `tfsemcomp` command: arguments, messages and exit statuses.

What each sub-command does is in commands/. This module promises: 0 and results on
stdout, or one line `error: ...` on stderr and 1, or 2 for wrong usage, or 130 after
Ctrl-C; with --json exactly one JSON object on stdout in each of these cases.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from absl.flags import argparse_flags

from tfsemcomp import version
from tfsemcomp.commands.console import Console, UsageError, describe_error, explain

_TRUE = ("true", "t", "1", "yes", "y")
_FALSE = ("false", "f", "0", "no", "n")


class Parser(argparse_flags.ArgumentParser):
    """Takes --flag_name=value and --flag-name value, --flag and --noflag.

    Errors are raised as UsageError instead of being printed with the usage.
    """

    def __init__(self, **options: Any) -> None:
        # Flags of other modules would collide with those of the sub-commands.
        super().__init__(
            inherited_absl_flags=None, allow_abbrev=False, add_help=False, **options
        )
        self.add_argument("-h", "--help", action="help", help="Show this and exit.")
        self.switches: set[str] = set()

    def add_flag(
        self, name: str, *aliases: str, group: Any = None, **options: Any
    ) -> None:
        """Adds --name with its aliases, to an argument group; None if not given."""
        strings = [f"--{string}" for string in (name, *aliases)]
        # argparse takes % in a help text for a format.
        options["help"] = options["help"].replace("%", "%%")
        (group or self).add_argument(*strings, dest=name, **options)

    def add_switch(self, name: str, *aliases: str, **options: Any) -> None:
        """Adds --name and --noname; None if neither is given."""
        self.add_flag(name, *aliases, action="store_true", default=None, **options)
        for string in (name, *aliases):
            self.switches.add(string)
            self.add_argument(
                f"--no{string}",
                dest=name,
                action="store_false",
                default=None,
                help=argparse.SUPPRESS,
            )

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: the arguments without the program's name; None takes those of the process.

    Returns: the exit status.
    """
    # Before TensorFlow is imported, so that its C++ code keeps quiet.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    argv = list(sys.argv[1:] if argv is None else argv)
    console = Console(_is_on(argv, "json"))
    verbose = _is_on(argv, "verbose") or _is_on(argv, "debug")
    try:
        args = _parse(argv)
        with _quiet(verbose), contextlib.redirect_stdout(sys.stderr):
            return args.run(args, console)
    except SystemExit as error:  # --help and --version
        return error.code if isinstance(error.code, int) else 0
    except BrokenPipeError:
        # The reader of stdout is gone; nothing may be written to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if verbose:
            traceback.print_exc()
        status, text = explain(error)
        console.failure(text)
        if console.as_json:
            with contextlib.suppress(OSError):
                console.result({"error": describe_error(error)}, "")
        return status


def normalise(argv: Sequence[str], switches: set[str]) -> list[str]:
    """Writes flags one way: underscores, and --flag or --noflag for --flag=BOOL.

    Args:
        argv: arguments; those after "--" stay as they are.
        switches: names of the flags that are on or off.

    Raises: UsageError if a switch has a value that is neither.
    """
    result = []
    for index, argument in enumerate(argv):
        if argument == "--":
            return result + list(argv[index:])
        if not argument.startswith("--"):
            result.append(argument)
            continue
        flag, equals, value = argument[2:].partition("=")
        flag = flag.replace("-", "_")
        if flag.startswith("no_") and flag[3:] in switches:
            flag = "no" + flag[3:]
        if flag in switches and equals:
            flag, equals, value = _switch(flag, value), "", ""
        result.append(f"--{flag}{equals}{value}")
    return result


def _switch(flag: str, value: str) -> str:
    if value.lower() in _TRUE:
        return flag
    if value.lower() in _FALSE:
        return f"no{flag}"
    raise UsageError(f"--{flag} takes true or false, received {value!r}")


def _is_on(argv: Sequence[str], switch: str) -> bool:
    """Whether a switch is on, as far as can be told before arguments are parsed."""
    given = list(argv)
    if "--" in given:
        given = given[: given.index("--")]
    return any(given.count(f"--{switch}{value}") for value in ("", "=true", "=1"))


def _parse(argv: list[str]) -> argparse.Namespace:
    from tfsemcomp import commands

    parser = Parser(
        prog="tfsemcomp",
        description="Semantic image compression: every codec, one command.",
        epilog="`tfsemcomp COMMAND --help` tells the arguments of a command.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=version.__version__,
        help="Show the version and exit.",
    )
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", parser_class=Parser, required=True
    )
    switches = set()
    for command in commands.COMMANDS:
        subparser = subparsers.add_parser(
            command.name, help=command.help, description=command.help
        )
        # Flags of codecs need the codecs' modules, and nobody else reads them.
        if command.name not in argv:
            continue
        command.add_arguments(subparser)
        subparser.add_switch("json", help="Print one JSON object.")
        subparser.add_switch(
            "verbose", "debug", help="Show log messages, and tracebacks of errors."
        )
        subparser.set_defaults(run=command.run)
        switches |= subparser.switches
    return parser.parse_args(normalise(argv, switches))


@contextlib.contextmanager
def _quiet(verbose: bool) -> Iterator[None]:
    """Keeps logs and warnings of libraries from the user, unless they are wanted."""
    import logging as python_logging
    import warnings

    from absl import logging

    # TensorFlow's messages in Python go to a logger of its own.
    tensorflow = python_logging.getLogger("tensorflow")
    before = logging.get_verbosity(), tensorflow.level
    logging.set_verbosity(logging.INFO if verbose else logging.ERROR)
    tensorflow.setLevel(python_logging.INFO if verbose else python_logging.ERROR)
    try:
        with warnings.catch_warnings():
            if not verbose:
                warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before[0])
        tensorflow.setLevel(before[1])
