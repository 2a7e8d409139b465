"""The exceptions that tfsemcomp raises for anything but a wrong argument.

A wrong argument (type, shape, range) is a ``ValueError``. Everything that depends on
the outside world, such as files, streams, models and plug-ins, is one of these. Each
message is one line: what is wrong, where, and what to do.
"""


class SemCompError(Exception):
    """Base of all errors of this package; files and targets raise it directly."""


class BitstreamError(SemCompError):
    """The bytes are not a whole, undamaged stream or image."""


class ModelMismatchError(SemCompError):
    """The stream was made with another model, or a model's files were changed."""


class LimitError(SemCompError):
    """The input declares more pixels, layers or bytes than the limits allow."""


class UnavailableError(SemCompError):
    """A plug-in, program or model that this needs is not installed, here or there."""


class ServerError(SemCompError):
    """A server of models is down, too slow, or does not do what it is asked for."""
