"""Learning from whole conversations: count, then weigh, each conversation by what the others have taught."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.prediction.candidate import Candidate
from specflow.prediction.dates import iso_date
from specflow.prediction.history.apart import (
    EPOCHS,
    Example,
    Tell,
    learn_apart,
    learn_together,
    sharpness_by_kit,
)
from specflow.prediction.history.chooser import options
from specflow.prediction.history.confidence import stages_of
from specflow.prediction.history.dialogue import Args, Dialogue, args_of
from specflow.prediction.history.patterns import Patterns, cues_of, kit_of
from specflow.prediction.history.tables import REPLY, Tables
from specflow.prediction.history.together import offered
from specflow.prediction.history.topics import topics_of
from specflow.prediction.history.weights import Weights
from specflow.prediction.predictor import HistoryItem

FEW = 3
"""With fewer tasks than that, what a conversation's own task has taught is not left out of it."""

Early = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """`new` are the messages since the moment before; then the model called `calls`, or gave a reply. `heard`
    is what other predictors proposed while it spoke, in that order.
    """

    new: Sequence[HistoryItem]
    calls: Sequence[Call]
    heard: Sequence[Candidate] = ()

    @property
    def first(self) -> tuple[str, Args | None]:
        """Tool and arguments of the first call; the reply without."""
        if not self.calls:
            return REPLY, None
        return self.calls[0].tool, args_of(self.calls[0].args)

    @property
    def more(self) -> list[tuple[str, Args]]:
        """Those of its other calls."""
        return [(call.tool, args_of(call.args)) for call in self.calls[1:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One conversation. Those of one `task` say much the same; `agent` is who spoke for the model."""

    moments: Sequence[Moment]
    tools: ToolRegistry
    task: str = ""
    agent: str = ""

    def walk(self, *, year: int | None) -> Iterator[tuple[Dialogue, Moment]]:
        """The conversation as it stood at each moment; always the same object."""
        dialogue = Dialogue(
            cues=cues_of(self.tools),
            topics=topics_of(spec.name for spec in self.tools),
            year=year,
            agent=self.agent,
        )
        for moment in self.moments:
            for item in moment.new:
                dialogue.take(item)
            yield dialogue, moment


def usual_year(lessons: Iterable[Lesson]) -> int | None:
    """The year that dates in the arguments of calls are usually of."""
    years = Counter(
        value[:4]
        for lesson in lessons
        for moment in lesson.moments
        for call in moment.calls
        for value in call.args.values()
        if isinstance(value, str) and iso_date(value)
    )
    return int(years.most_common(1)[0][0]) if years else None


def count(lessons: Iterable[Lesson], *, year: int | None = None) -> Tables:
    """What is counted in these conversations; dates without a year are of `year`."""
    tables = Tables()
    for lesson in lessons:
        names = [spec.name for spec in lesson.tools]
        for dialogue, moment in lesson.walk(year=year):
            name, args = moment.first
            tables.learn(dialogue, name, args or (), names, (other for other, _ in moment.more))
    return tables


def train(
    lessons: Sequence[Lesson],
    *,
    early: Early,
    epochs: int = EPOCHS,
    seed: int = 0,
    counted: dict[tuple[str, int | None], Tables] | None = None,
    tell: Tell = lambda _what, _done, _of: None,
) -> Patterns:
    """Patterns from conversations. `early` says which tools calls are proposed of.

    `counted` keeps the counts of each task between trainings that share tasks.
    """
    by_task: dict[str, list[Lesson]] = defaultdict(list)
    for lesson in lessons:
        by_task[lesson.task].append(lesson)
    counted = {} if counted is None else counted
    tables, year, parts = Tables(), usual_year(lessons), {}
    for done, (task, its) in enumerate(by_task.items()):
        if (task, year) not in counted:
            counted[task, year] = count(its, year=year)
        parts[task] = counted[task, year]
        tables.include(parts[task])
        tell("counting", done, len(by_task))
    weights = Weights()
    examples = list(_examples(by_task, tables, parts, weights, early, tell))
    unseen = learn_apart(weights, examples, epochs=epochs, seed=seed, tell=tell)
    sharpness = sharpness_by_kit(unseen)
    hashes: dict[str, list[str]] = {}
    for spec in (spec for lesson in lessons for spec in lesson.tools):
        known = hashes.setdefault(spec.name, [])
        if spec.schema_hash not in known:
            known.append(spec.schema_hash)
    together = learn_together(unseen, sharpness, seed=seed)
    stages = stages_of(unseen, sharpness, together, seed=seed)
    return Patterns(
        tables=tables,
        weights=weights,
        tools=hashes,
        sharpness=sharpness,
        stages=stages,
        together=together,
    )


def _examples(  # noqa: PLR0917 - one caller, which names them alike
    by_task: dict[str, list[Lesson]],
    tables: Tables,
    parts: dict[str, Tables],
    weights: Weights,
    early: Early,
    tell: Tell,
) -> Iterator[Example]:
    apart = len(by_task) >= FEW
    for done, (task, lessons) in enumerate(by_task.items()):
        tell("looking", done, len(by_task))
        if apart:
            # What the conversation itself has taught would make its own past look better than any other's.
            tables.include(parts[task], -1)
        for lesson in lessons:
            names = [spec.name for spec in lesson.tools]
            for dialogue, moment in lesson.walk(year=tables.year):
                found = options(tables, dialogue, names, early)
                compiled = weights.compile(found)
                right = found.place_of(*moment.first)
                if right >= 0:
                    offers = [at for at, args in enumerate(found.args) if args is not None]
                    yield Example(
                        compiled,
                        right,
                        task,
                        kit_of(lesson.tools),
                        offers,
                        lesson.agent,
                        frozenset(found.place_of(*one) for one in moment.more) & frozenset(offers),
                        offered(dialogue, found.names, found.args),
                        frozenset((call.tool, args_of(call.args)) for call in moment.calls),
                        moment.heard,
                    )
        if apart:
            tables.include(parts[task])
