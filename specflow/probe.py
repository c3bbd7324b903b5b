"""Named points in the code where tests may cut in: crash, cancel, delay, or take turns.

Production code calls `reach`; unless an instrument of `specflow.testing` is installed it costs one
global look-up. `POINTS` is the catalogue: the crash matrix goes through all of it.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS: dict[str, str] = {
    "intent.before": "nothing is written yet",
    "intent.committed": "the intent is durable, the tool not yet called",
    "again.committed": "a repetition under the old key is durable, the tool not yet called again",
    "again.called": "the tool has answered a repetition by recovery, its outcome is not written yet",
    "call.before": "about to call the tool",
    "call.after": "the tool has returned, its outcome is not written yet",
    "call.recorded": "effect and outcome are in one transaction, which is not committed yet",
    "outcome.committed": "the outcome is durable",
    "adopt.before": "the real run has matched, nothing is decided yet",
    "adopt.committed": "the adoption is durable, the result not yet handed over",
    "patch.before": "the real run differs a little, nothing is amended yet",
    "patch.done": "the patch is durable, the pair not yet adopted",
    "patch.adopted": "the adoption of the pair is durable, the result not yet handed over",
    "abort.before": "the branch is lost, nothing is decided yet",
    "abort.committed": "the abort is durable, nothing is undone yet",
    "undo.intended": "the undo is durable, the compensator not yet called",
    "undo.called": "the compensator has returned, its outcome is not written yet",
    "undo.committed": "the undo is durable",
    "cover.intended": "a patch is about to be taken back with its base, which is not undone yet",
    "cover.committed": "the patch is at rest, its base not undone yet",
    "verify.before": "about to ask whether an effect happened",
    "verify.after": "the answer is there, not yet written",
    "recover.taken": "a session was taken over, nothing is recovered yet",
    "saga.before": "what was committed is to be taken back, nothing is decided yet",
    "saga.decided": "the session's decision is durable, nothing is undone yet",
    "session.close": "everything is at rest, the session is about to be closed",
}

Hook = Callable[[str], None]
_hook: Hook | None = None


def reach(name: str) -> None:
    """Say that the named point is reached. The hook may raise, kill the process, or wait."""
    if _hook is not None:
        _hook(name)


def install(hook: Hook | None) -> Hook | None:
    """Put a hook in place (None takes it away) and return the one that was there."""
    global _hook
    previous, _hook = _hook, hook
    return previous
