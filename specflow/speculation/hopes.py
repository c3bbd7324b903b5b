"""Guesses about calls that may come later than in the next message, until it is known whether they came.

What an early read says may be good for longer than the run (see `kept`). A guess of such a call is right if
the conversation asks for it while the read would live: the ensemble learns that beside whether it was the
very next message that asked.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from specflow.prediction.calibration.ensemble import Guess, Scene
from specflow.speculation.believe import learn, life, scene_of
from specflow.speculation.parts import Parts
from specflow.speculation.session import SessionKey
from specflow.speculation.turn import Turn

MOST = 50_000
"""Guesses that are waited for; of the oldest of more nothing is learned."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Hope:
    """A guess that may still come true in its conversation, as the call of `key`."""

    conversation: SessionKey
    key: str
    guess: Guess
    scene: Scene


class Hopes:
    """Belongs to one event loop. What it learns goes to the ensemble of the runtime."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open: dict[SessionKey, dict[str, list[_Hope]]] = {}
        self._ends: list[tuple[float, int, _Hope]] = []
        self._numbers = count()

    def learn(self, turn: Turn, made: Mapping[str, str], cause: str) -> None:
        """A model turn has ended: its message asks for these, the tool of each call by its key; or it failed
        (`cause` says how), and what it would have asked for nobody knows.
        """
        learn(self._parts, turn, made, cause)
        self._lose(self._parts.clock.monotonic())
        conversation = turn.session.key
        for key in made:
            self._came(conversation, key)
        for key, guess in {} if cause else turn.guesses.items():
            lives = life(self._parts, turn, guess.tool)
            if lives is None:
                continue
            if key in made:
                self._parts.ensemble.learn_in_time(guess, scene_of(turn), right=True)
            else:
                hope = _Hope(conversation=conversation, key=key, guess=guess, scene=scene_of(turn))
                self._open.setdefault(conversation, {}).setdefault(key, []).append(hope)
                heapq.heappush(self._ends, (turn.started + lives, next(self._numbers), hope))
                if len(self._ends) > MOST:
                    self._forget(heapq.heappop(self._ends)[2])

    def over(self) -> None:
        """All conversations have come to their end: what is open has not come."""
        self._lose(math.inf)

    def _came(self, conversation: SessionKey, key: str) -> None:
        by_key = self._open.get(conversation, {})
        for hope in by_key.pop(key, ()):
            self._parts.ensemble.learn_in_time(hope.guess, hope.scene, right=True)
        if not by_key:
            self._open.pop(conversation, None)

    def _lose(self, now: float) -> None:
        """What was hoped for until then has not come."""
        while self._ends and self._ends[0][0] <= now:
            hope = heapq.heappop(self._ends)[2]
            if self._forget(hope):
                self._parts.ensemble.learn_in_time(hope.guess, hope.scene, right=False)

    def _forget(self, hope: _Hope) -> bool:
        """Whether it was still open."""
        by_key = self._open.get(hope.conversation, {})
        hopes = by_key.get(hope.key, [])
        if hope not in hopes:
            return False
        hopes.remove(hope)
        if not hopes:
            del by_key[hope.key]
        if not by_key:
            del self._open[hope.conversation]
        return True
