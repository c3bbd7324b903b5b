"""A guessed call, and the taking back of one."""

from __future__ import annotations

from dataclasses import dataclass

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
