"""When each token is due, from the arrival of the request: deadlines, so that delays do not add up."""

from __future__ import annotations

import math
from dataclasses import dataclass

from specflow.testing.model_server.reply import Reply, amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a model speaks.

    `tokens_per_second` None means without waiting; `first_token` is seconds; `speed` divides every time
    there is (2.0 is twice as fast), None means without any waiting at all, also where a reply says so.

    Raises:
        ConfigurationError: for amounts that mean nothing.
    """

    tokens_per_second: float | None = None
    first_token: float = 0.0
    speed: float | None = 1.0

    def __post_init__(self) -> None:
        amount("pace", self.tokens_per_second, above_zero=True)
        amount("first_token", self.first_token)
        amount("speed", self.speed, above_zero=True)

    def timing(self, reply: Reply, tokens: int) -> Timing:
        """When the tokens of `reply`, `tokens` in all, are due."""
        if self.speed is None:
            return Timing(start=0.0, per_token=0.0)
        start = self.first_token if reply.first_token is None else reply.first_token
        if reply.seconds is not None:
            start = min(start, reply.seconds)
            # A reply without a token still takes its time.
            per_token = (reply.seconds - start) / tokens if tokens else 0.0
            start = start if tokens else reply.seconds
        else:
            rate = reply.pace or self.tokens_per_second or math.inf
            per_token = 1 / rate
        return Timing(start=start / self.speed, per_token=per_token / self.speed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """`start` is seconds until the model begins, `per_token` seconds for each token after that."""

    start: float
    per_token: float

    def due(self, tokens: int) -> float:
        """Seconds from the arrival of the request until `tokens` tokens are said."""
        return self.start + tokens * self.per_token
