"""Variables of the environment, which libraries read as they are loaded."""

import contextlib
import os
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def changed(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables for what is loaded or started meanwhile; then they are as before.

    Args:
        variables: values by name.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
