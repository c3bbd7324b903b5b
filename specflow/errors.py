"""Every error specflow raises on purpose: a code, facts as attributes, and a message that says what to do.

The class says whose fault it is: the author's (`AuthorError`: a policy or an annotation), the world's
(`WorldError`: a tool, a network, a database) or ours (`InvariantError`: please report it).
Cancellation and LangGraph's control-flow exceptions are never wrapped: they always pass.
"""

from __future__ import annotations

from typing import ClassVar


class SpecflowError(Exception):
    """Base of all errors raised on purpose.

    `facts` are what a program would want to read off the error; `hint` says how to mend it.
    """

    code: ClassVar[str] = "specflow"

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class AuthorError(SpecflowError):
    """Something a person wrote (policy, annotation, configuration) cannot be used as it stands."""

    code = "author"


class PolicyError(AuthorError):
    """A policy that cannot be loaded; `findings` lists every problem found, with positions."""

    code = "policy"


class AnnotationError(AuthorError):
    """A tool whose annotations contradict each other or its schema."""

    code = "annotation"


class UnknownToolError(AuthorError):
    """A tool name that nothing registered."""

    code = "unknown_tool"


class ConfigurationError(AuthorError):
    """A setting, option or argument that cannot work."""

    code = "configuration"


class WorldError(SpecflowError):
    """The world outside the process did not do its part: a tool, a network, a database."""

    code = "world"


class ToolTimeoutError(WorldError):
    """A tool did not answer before its deadline; whether its effect happened is not known."""

    code = "tool_timeout"


class BeforeImageError(WorldError):
    """What was there before a write could not be read, so its undo could not put it back: it was not made."""

    code = "before_image"


class ConflictError(WorldError):
    """A real call may not run beside an effect whose fate is not settled; names the journal row."""

    code = "conflict"


class ClaimedError(ConflictError):
    """An effect of another session holds what this call would change; names the journal row.

    Facts: `tool`, `effect_id`, `session_id` and `stage` of the effect in the way, and its `resource`.
    """

    code = "claimed"


class JournalError(WorldError):
    """The journal's database refused or failed; nothing was run that it does not know of."""

    code = "journal"


class TransactionError(AuthorError):
    """A tool did what ends, or may not be part of, the transaction it was given: all of it is rolled back."""

    code = "transaction"


class SealedError(WorldError):
    """A secret on record cannot be read: it is under another key, there is no key, or it was changed.

    Facts: `key` is the id of the key it was sealed with, where that is known.
    """

    code = "sealed"


class FencedError(JournalError):
    """Another process has taken the session over; this one may write nothing more under it."""

    code = "fenced"


class RefusedError(SpecflowError):
    """The policy denies this call, or wants a person's yes that is not there; the message says why."""

    code = "refused"


class ApprovalError(RefusedError):
    """A person's yes does not cover this call: it was to another one, was used, or is out of date.

    Nothing was run. Facts: `tool`, `approval_id` of the journal row.
    """

    code = "approval"


class NotEarlyError(SpecflowError):
    """A fork has come to a call that must not run early: there it ends, and nobody is told."""

    code = "not_early"


class InvariantError(SpecflowError):
    """specflow broke one of its own rules: a bug in specflow, never in the user's code."""

    code = "invariant"
