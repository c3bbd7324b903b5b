"""What a predictor would have proposed at each step, and where its best guess was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import thread_time

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.policy.settings import Judge
from specflow.prediction.candidate import Candidate, checked
from specflow.prediction.history.seen import text_of
from specflow.prediction.predictor import AnyPredictor, Foresees, Predictor, TurnContext
from specflow.replay.steps import Step
from specflow.replay.took import Took


@dataclass(frozen=True, slots=True)
class Guess:
    """How one step was guessed. `read`: the model's first call was a read; `wanted`: some call of the message
    was; `place`: where the first one stood among the guesses by confidence, -1 for nowhere. `lost` says why
    it was not the first of them: `name:TOOL`, `argument:TOOL.PARAMETER` or `nowhere:TOOL.PARAMETER` (a value
    that the conversation does not hold).

    The rest is of the best guess that is a read, since nothing else is started on a guess: its `confidence`
    (0 where there is none), whether the message asks for that call (`right`) and begins with it (`begins`),
    what its predictor `said` of it, and whether it is likely enough for the precision that is asked for, by
    its tool (`enough`).
    """

    task: str
    read: bool
    place: int
    confidence: float
    right: bool
    lost: tuple[str, ...] = ()
    said: float = 0.0
    enough: bool = False
    begins: bool = False
    wanted: bool = False


def reads(judge: Judge, registry: ToolRegistry, call: Call) -> bool:
    """Whether the policy takes the call for a read."""
    return not judge.judge(registry.get(call.tool), call, context={}).effect.writes


def guess_of(
    step: Step,
    said: Sequence[Candidate],
    *,
    read: bool,
    task: str,
    early: Sequence[Candidate] | None = None,
    wanted: bool | None = None,
) -> Guess:
    """How good the proposals were; of one call proposed twice the higher confidence counts. `early` are those
    that are reads; None: all of them. `wanted` is whether the message asks for a read; None: as it begins.
    """
    best: dict[str, Candidate] = {}
    for candidate in said:
        known = best.get(candidate.call.fingerprint)
        if known is None or candidate.confidence > known.confidence:
            best[candidate.call.fingerprint] = candidate
    ordered = sorted(best.values(), key=lambda one: -one.confidence)
    first = step.calls[0] if step.calls else None
    launched = max(said if early is None else early, key=lambda one: one.confidence, default=None)
    place = next((at for at, one in enumerate(ordered) if one.call == first), -1)
    return Guess(
        task=task,
        read=read and first is not None,
        place=place,
        confidence=launched.confidence if launched is not None else 0.0,
        right=launched is not None and launched.call in step.calls,
        begins=launched is not None and launched.call == first,
        wanted=read if wanted is None else wanted,
        lost=_lost(step, first, ordered) if first is not None and read and place != 0 else (),
    )


def _lost(step: Step, first: Call, ordered: Sequence[Candidate]) -> tuple[str, ...]:
    own = next((one.call for one in ordered if one.call.tool == first.tool), None)
    if not ordered or ordered[0].call.tool != first.tool:
        return (f"name:{first.tool}",)
    assert own is not None
    known = "\n".join(
        f"{item.text}\n{' '.join(map(text_of, item.call.args.values())) if item.call else ''}"
        for item in step.history
    ).lower()
    found = []
    for name in sorted(first.args.keys() | own.args.keys()):
        value = first.args.get(name)
        if value != own.args.get(name):
            held = value is None or text_of(value).lower() in known
            found.append(f"{'argument' if held else 'nowhere'}:{first.tool}.{name}")
    return tuple(found)


async def proposals(
    predictor: AnyPredictor, step: Step, registry: ToolRegistry, took: list[Took]
) -> list[Candidate]:
    """What the predictor proposes in a step, without playing it: it hears the whole of it. Adds to `took` the
    time that it took in what is new, and until it had said what it foresees.
    """
    context = TurnContext(tools=registry, history=step.history)
    found: list[Candidate] = []
    began = thread_time()
    listener = predictor.listen(context) if isinstance(predictor, Predictor) else None
    there, foreseen = thread_time(), None
    if isinstance(predictor, Foresees):
        found.extend(await predictor.foresee(context))
        foreseen = 1_000 * (thread_time() - there)
    took.append(Took(len(step.history), 1_000 * (there - began), foreseen))
    if listener is not None:
        for _, chunk in step.pieces:
            heard = map(checked, listener.hear(chunk))
            found.extend(said for said in heard if isinstance(said, Candidate))
    return found
