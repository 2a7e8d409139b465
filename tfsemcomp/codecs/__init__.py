"""Codecs: pixels to bytes and back, one module a system, behind one interface."""

from tfsemcomp.codecs.base import (
    Codec,
    CodecInfo,
    Encoded,
    Setting,
    get_codec,
    list_codecs,
    register,
)

__all__ = [
    "Codec",
    "CodecInfo",
    "Encoded",
    "Setting",
    "get_codec",
    "list_codecs",
    "register",
]
