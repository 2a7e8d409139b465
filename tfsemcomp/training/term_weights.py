"""What a flag of losses' weights says: `--weights=l1=10,gan=0.5`."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

Weights = TypeVar("Weights")


def replace(weights: Weights, given: Sequence[str]) -> Weights:
    """Weights with those replaced that a flag names.

    Args:
        weights: a dataclass of weights; what is no single number is no weight.
        given: term=weight pairs.
    Raises: ValueError, listing the terms, if a pair names none or gives no number.
    """
    terms = [name for name, value in vars(weights).items() if isinstance(value, float)]
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            if name not in terms:
                raise ValueError
            found[name] = float(value)
        except ValueError:
            raise ValueError(
                f"`--weights` are term=weight pairs of {', '.join(terms)}; got "
                f"'{text}'."
            ) from None
    return dataclasses.replace(weights, **found)
