"""A guessed call, and the taking back of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from specflow.effects.call import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A call that `predictor` believes the model is about to make.

    `confidence` is a probability in [0, 1]. `evidence` is a short excerpt or reason for people; it
    may hold user data and is treated like arguments (never exported by default).
    `tainted` says that some argument value came from a tool's result rather than from the user or
    the model's own words.
    """

    call: Call
    confidence: float
    predictor: str
    evidence: str = ""
    tainted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraction:
    """The predictor no longer believes in a call it proposed: amended, negated, or retried stream."""

    call: Call
    predictor: str
    reason: str


Proposal = Candidate | Retraction


def checked(said: object) -> Proposal:
    """What a predictor has said, if it can be considered at all.

    Raises:
        TypeError: it is no proposal, or one of something that is no call.
    """
    if isinstance(said, Candidate | Retraction) and isinstance(said.call, Call):
        return said
    raise TypeError(f"{type(said).__name__} is no proposal of a call")


def probability(value: object) -> float | None:
    """The number, if it is one in [0, 1]; else None. NaN is below no threshold, and no probability either."""
    number = float(value) if isinstance(value, Real) else math.nan
    return number if 0 <= number <= 1 and value is not True and value is not False else None
