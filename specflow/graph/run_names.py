"""A name for every run without a thread, which no other run of the process ever has."""

from __future__ import annotations

import sys
import threading
import uuid
from dataclasses import dataclass

FEWEST = 64


@dataclass(frozen=True, slots=True)
class _Named:
    control: object
    name: str


class RunNames:
    """Names by the object of which LangGraph makes one for each run.

    Its address is free for another run's as soon as it is gone, and then a call of that run would be taken
    for one that was made already. So it is kept for as long as anybody else has it, and a little longer: it
    cannot be referred to weakly.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, _Named] = {}
        self._sweep_at = FEWEST

    def __len__(self) -> int:
        return len(self._known)

    def of(self, control: object) -> str:
        """The name of the run that has this object."""
        with self._lock:
            known = self._known.get(id(control))
            if known is None:
                if len(self._known) >= self._sweep_at:
                    self._sweep()
                known = self._known[id(control)] = _Named(control, uuid.uuid4().hex)
            return known.name

    def _sweep(self) -> None:
        # Two: ours, and that of the question itself.
        self._known = {at: one for at, one in self._known.items() if sys.getrefcount(one.control) > 2}
        self._sweep_at = max(FEWEST, 2 * len(self._known))
