"""A question to a person, or the turn of the user: pending as a call is, and answered by the host."""

from __future__ import annotations

from typing import Any

from specflow.speculation.presume import Presumer
from specflow.speculation.question import Question
from specflow.speculation.session import Session
from specflow.speculation.sessions import Sessions


class Awaited:
    """Handed to whoever asked. One of `answered` and `gave_up` ends it; the first one counts.

    Meanwhile the session is not closed for having nothing to do, until it has been idle for as long as any
    session may be: what is started on a guess of the answer waits there.
    """

    def __init__(self, presumer: Presumer, sessions: Sessions, session: Session, question: Question) -> None:
        self._presumer = presumer
        self._sessions = sessions
        self._session = session
        self._question = question
        session.waiting.add(self)

    def answered(self, value: Any) -> None:
        """The answer is there: branches that guessed it are confirmed, the others aborted."""
        self._presumer.answered(self._question, value)
        self._session.waiting.discard(self)

    def gave_up(self, cause: str = "gave_up") -> None:
        """Nobody waits for it any more: everything that was presumed of it ends."""
        self._presumer.gave_up(self._question, cause)
        self._session.waiting.discard(self)
        self._sessions.left(self._session)
