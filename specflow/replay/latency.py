"""How long tools take in a replay: a constant, a distribution that each call draws from, or as recorded."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Protocol

from specflow.effects.call import Call, digest
from specflow.errors import ConfigurationError

RECORDED = "recorded"
"""Asks for the times of the record; see `recorded_times`."""

USUAL = "they take the median of their tool, or of all tools"
"""What is said of calls that have none."""

MAX_SECONDS = 86_400.0
MAX_SIGMA = 4.0


class Latency(Protocol):
    """Seconds a call takes. The same call takes the same time, early or not."""

    def __call__(self, call: Call, step: int = 0, /) -> float:
        """Seconds of a call that begins in that step of the run, counted from 0."""
        ...


def latency(text: str) -> Latency:
    """`2` or `2s` is a constant, `lognormal:MEDIAN,SIGMA` a distribution (median in seconds).

    A call draws its time from a hash of itself, so that runs can be compared call by call. No call takes
    longer than a day. `recorded` is none of these: it needs the runs.

    Raises:
        ConfigurationError: for anything else.
    """
    kind, _, rest = text.strip().partition(":")
    try:
        if not rest:
            return _constant(_amount(kind.removesuffix("s"), MAX_SECONDS))
        if kind == "lognormal":
            median, sigma = rest.split(",")
            return _lognormal(_amount(median.removesuffix("s"), MAX_SECONDS), _amount(sigma, MAX_SIGMA))
    except ValueError:
        pass
    raise ConfigurationError(
        f"{text!r} is no latency",
        hint=f"for example 2s, lognormal:1.5,0.6 or {RECORDED}; "
        f"at most {MAX_SECONDS:.0f} s and sigma {MAX_SIGMA:g}",
    )


def seconds(text: str) -> float:
    """`20` or `20s`; at most a day.

    Raises:
        ConfigurationError: for anything else.
    """
    try:
        return _amount(text.strip().removesuffix("s"), MAX_SECONDS)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no number of seconds", hint=f"for example 20s; at most {MAX_SECONDS:.0f} s"
        ) from None


def taking(text: str) -> str:
    """How it is said to people: tools that take ..."""
    return "the time that was recorded" if text.strip() == RECORDED else text


def checked(text: str) -> str:
    """The text, where it asks for a latency at all; without the space around it.

    Raises:
        ConfigurationError: it does not.
    """
    text = text.strip()
    if text != RECORDED:
        latency(text)
    return text


def _amount(text: str, most: float) -> float:
    value = float(text)
    # Not a number fails this comparison too.
    if not 0 <= value <= most:
        raise ValueError(text)
    return value


def _constant(seconds: float) -> Latency:
    return lambda _call, _step=0, /: seconds


def _lognormal(median: float, sigma: float) -> Latency:
    normal = NormalDist()

    def draw(call: Call, _step: int = 0, /) -> float:
        # 52 bits of the hash make a number strictly between 0 and 1.
        share = (int(digest("latency", call.fingerprint)[:13], 16) + 0.5) / 16**13
        return min(MAX_SECONDS, median * math.exp(sigma * normal.inv_cdf(share)))

    return draw
