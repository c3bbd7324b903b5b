"""The options that everybody has who asks a draft model."""

from __future__ import annotations

import math

from specflow.errors import ConfigurationError

MOST_SAMPLES = 16
LEAST_CHARACTERS = 1_000


def check_options(
    *,
    samples: int,
    seconds: float,
    breadth: int,
    prices: tuple[float, float],
    max_usd: float,
    characters: int,
) -> None:
    """Whether they can be.

    Raises:
        ConfigurationError: one of them has no such value.
    """
    if not 1 <= samples <= MOST_SAMPLES:
        raise ConfigurationError(f"samples={samples}", hint=f"from 1 to {MOST_SAMPLES}; 3 is usual")
    if not 0 < seconds < math.inf or breadth < 1 or characters < LEAST_CHARACTERS:
        raise ConfigurationError(
            f"seconds={seconds!r}, breadth={breadth}, characters={characters}",
            hint=f"seconds above 0, a breadth of at least 1, at least {LEAST_CHARACTERS} characters",
        )
    if not (min(prices) >= 0 and max_usd >= 0):
        raise ConfigurationError(f"prices={prices}, max_usd={max_usd}", hint="amounts of money, in USD")
