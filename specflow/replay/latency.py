"""How long tools take in a replay: a constant, or a distribution from which each call draws its own time."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from specflow.effects.call import Call, digest
from specflow.errors import ConfigurationError

Latency = Callable[[Call], float]
"""Seconds a call takes. The same call takes the same time, early or not."""


def latency(text: str) -> Latency:
    """`2` or `2s` is a constant, `lognormal:MEDIAN,SIGMA` a distribution (median in seconds).

    A call draws its time from a hash of itself, so that runs can be compared call by call.

    Raises:
        ConfigurationError: for anything else.
    """
    kind, _, rest = text.partition(":")
    try:
        if not rest:
            return _constant(_positive(kind.removesuffix("s")))
        if kind == "lognormal":
            median, sigma = (_positive(part.removesuffix("s")) for part in rest.split(","))
            return _lognormal(median, sigma)
    except ValueError:
        pass
    raise ConfigurationError(f"{text!r} is no latency", hint="for example 2s or lognormal:1.5,0.6")


def _positive(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError(text)
    return value


def _constant(seconds: float) -> Latency:
    return lambda _call: seconds


def _lognormal(median: float, sigma: float) -> Latency:
    normal = NormalDist()

    def draw(call: Call) -> float:
        # 52 bits of the hash make a number strictly between 0 and 1.
        share = (int(digest("latency", call.fingerprint)[:13], 16) + 0.5) / 16**13
        return median * math.exp(sigma * normal.inv_cdf(share))

    return draw
