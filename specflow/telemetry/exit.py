"""The end of the process: one last call of a function at exit and at SIGTERM, whoever else listens."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType


class AtExit:
    """Calls `end` when the interpreter exits, and when SIGTERM arrives.

    The handler that was there before runs afterwards; where there was none, the process ends by
    SIGTERM as it would have. Signals are left alone outside the main thread. `end` must be bounded:
    it runs inside the signal handler. Its argument says whether the process surely ends now.
    """

    def __init__(self, end: Callable[[bool], object]) -> None:
        self._end = end
        self._previous: Callable[[int, FrameType | None], object] | int | None = None
        self._installed = False
        atexit.register(self._exiting)
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGTERM)
            # None: a handler that C code installed, which Python could not call afterwards.
            if self._previous is not None:
                signal.signal(signal.SIGTERM, self._terminated)
                self._installed = True

    def remove(self) -> None:
        """Stop listening; put the earlier handler back unless somebody has replaced ours."""
        atexit.unregister(self._exiting)
        if self._installed and threading.current_thread() is threading.main_thread():
            # Bound methods are made anew on each access: compare by equality.
            if signal.getsignal(signal.SIGTERM) == self._terminated:
                with contextlib.suppress(ValueError):
                    signal.signal(signal.SIGTERM, self._previous)
            self._installed = False

    def _exiting(self) -> None:
        self._end(True)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        if self._previous == signal.SIG_IGN:
            return
        # A handler of the application's may want to go on for a while and end its spans in order.
        self._end(not callable(self._previous))
        if callable(self._previous):
            self._previous(number, frame)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
