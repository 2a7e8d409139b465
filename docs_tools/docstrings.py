"""Our docstrings in the form that mkdocstrings reads.

Ours have no blank line above a section, and short sections on the line of their title:

    Args:
        image: uint8 [H,W,3].
        width, height: in pixels.
    Returns: the bytes.

Parsers of the Google style take none of these for what it is.
"""

import re
from typing import Any

import griffe

_TITLES = "Args|Attributes|Call args|Expect|Raises|Returns|Source|Yields"
_TITLE = re.compile(rf"(?P<title>{_TITLES}):(?P<text>.*)")
# An item of a section of exceptions.
_NAMED = re.compile(r"\s+[\w.]+: ")
# One text for several arguments.
_SEVERAL = re.compile(r"(?P<blank> +)(?P<first>\w+(?:, \w+)*), (?P<last>\w+): .*")


def normalise(text: str) -> str:
    """Sets sections apart, and makes paragraphs of those of one line.

    Args:
        text: of a docstring, without indentation.
    Returns: the same text for a parser of the Google style.
    """
    given, lines = text.splitlines(), []
    inline = False
    for line, below in zip(given, [*given[1:], ""], strict=True):
        match = _TITLE.fullmatch(line)
        if match:
            inline = bool(match["text"].strip())
            # Such as "As `read`." alone.
            inline |= match["title"] == "Raises" and not _NAMED.match(below)
            title = f"**{match['title']}:**{match['text']}" if inline else line
            lines += ["", title]
        elif inline and line.startswith(" "):
            # Indented below a paragraph it would be code.
            lines.append(line.strip())
        elif several := _SEVERAL.fullmatch(line):
            blank, last = several["blank"], several["last"]
            names = several["first"].split(", ")
            lines += [f"{blank}{name}: as `{last}`." for name in names]
            lines.append(line.replace(f"{several['first']}, ", "", 1))
        else:
            inline = False
            lines.append(line)
    return "\n".join(lines)


class Sections(griffe.Extension):
    """Normalises the docstring of every object that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called once an object is whole."""
        if obj.docstring is not None:
            obj.docstring.value = normalise(obj.docstring.value)
