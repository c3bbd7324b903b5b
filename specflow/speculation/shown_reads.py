"""What a person will be shown with a question is read while the model still speaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.errors import SpecflowError
from specflow.policy.settings import Before
from specflow.policy.verdict import Asking, Verdict
from specflow.prediction.candidate import Candidate
from specflow.speculation.parts import Parts


def shown_with(parts: Parts, candidate: Candidate) -> Iterator[Candidate]:
    """The reads to start early for a call that somebody will be asked about: as likely as the call itself."""
    for call in reads_with(parts, (candidate.call,)):
        yield replace(candidate, call=call)


def reads_with(parts: Parts, calls: Iterable[Call]) -> Iterator[Call]:
    """The reads for the questions that these calls will be."""
    for call in calls:
        tool = parts.registry.get(call.tool)
        show = parts.judge.settings(tool).show if tool is not None else ()
        if show and _asks(parts.judge.judge(tool, call, context=parts.context)):
            for read in show:
                found = read_of(parts, read, call)
                if found is not None:
                    yield found[1]


def _asks(verdict: Verdict) -> bool:
    return verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK


def read_of(parts: Parts, read: Before, call: Call) -> tuple[ToolSpec, Call] | None:
    """The read for this call; None where its arguments do not say what to read."""
    spec = parts.registry.get(read.tool)
    if spec is None or spec.runner is None or spec.injected:
        return None
    try:
        names = {"args": call.args}
        made = spec.call({name: given.evaluate(names) for name, given in read.arguments.items()})
    except SpecflowError:
        return None
    return None if spec.problems(made.args) else (spec, made)
