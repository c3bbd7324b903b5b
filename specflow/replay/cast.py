"""Who predicts in a replay: fresh predictors for each run, the learned ones from the runs of other tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError
from specflow.policy.settings import Judge
from specflow.prediction.history.apart import Tell
from specflow.prediction.history.lesson import Lesson
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.predictor import AnyPredictor
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.prediction.triggers import Triggers
from specflow.replay.announced import Announcements
from specflow.replay.believed import Stream, stages_of
from specflow.replay.lessons import Trainings, early_by, lesson_of
from specflow.traces.recorded import RecordedRun

HISTORY = HistoryPredictor.name
PARTIAL_CALL, SNIFFER = "partial_call", "sniffer"
KNOWN = (HISTORY, PARTIAL_CALL, SNIFFER)

Placed = tuple[Path, RecordedRun]
"""A run and the file that it is from."""


def names_of(text: str) -> list[str]:
    """The predictors that a comma-separated text names.

    Raises:
        ConfigurationError: it names none, or one that there is not.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in KNOWN:
            raise ConfigurationError(f"there is no predictor {name!r}", hint=f"known: {', '.join(KNOWN)}")
    if not names:
        raise ConfigurationError("no predictor was named", hint=f"known: {', '.join(KNOWN)}")
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The predictors of one run; `streams` is what their words have been worth in the runs before it, in each
    way to replay them (see `stream`). `patterns` are what `history` knows there, `early` the tools that read,
    `triggers` the words that announce a tool there, for the sniffer.
    """

    patterns: Patterns | None = None
    early: Mapping[str, bool] = field(default_factory=dict)
    agent: str = ""
    triggers: Triggers | None = None
    streams: dict[Hashable, Stream] = field(default_factory=dict)

    def stream(self, way: Hashable, predictors: Sequence[AnyPredictor]) -> Stream:
        """What goes on from run to run in that way to replay them, with these predictors in each."""
        found = self.streams.get(way)
        if found is None:
            found = self.streams[way] = Stream(stages_of(predictors))
        return found

    def fresh(self, names: Iterable[str]) -> list[AnyPredictor]:
        """New ones of these names. They learn nothing from the run: its task may come up again."""
        made: dict[str, Callable[[], AnyPredictor]] = {
            HISTORY: lambda: HistoryPredictor(
                self.patterns,
                early=lambda spec: self.early.get(spec.name, False),
                online=False,
                agent=self.agent,
            ),
            PARTIAL_CALL: PartialCallPredictor,
            SNIFFER: lambda: ReasoningSniffer(triggers=self.triggers, learns=False),
        }
        return [made[name]() for name in names]


def casts(
    runs: Iterable[Placed],
    more: Iterable[Placed],
    *,
    names: Sequence[str],
    judge_for: Callable[[ToolRegistry], Judge],
    phrases: bool = True,
    tell: Tell = lambda _what, _done, _of: None,
) -> Iterator[tuple[Placed, Cast]]:
    """Every run with its cast. Where something is learned, all runs are read first, and come ordered by the
    part of the tasks that was left out of the training: with `history` among the names, and with the sniffer
    among them and runs in `more`. These are only learned from; one that is among `runs` as well counts once.
    Without `phrases` the sniffer learns nothing, and all else is the same.

    Raises:
        RecordingError: a run cannot be used.
    """
    more = list(more)
    if not (HISTORY in names or (SNIFFER in names and more)):
        alike = Cast()
        for placed in runs:
            yield placed, alike
        return
    kept = list(runs)
    said = Announcements()
    early: dict[str, bool] = {}
    asked: set[frozenset[str]] = set()

    def lesson(placed: Placed) -> Lesson:
        file, run = placed
        # Without words that announcements taught: those of this very task might be among them.
        listens = ReasoningSniffer(learns=False) if SNIFFER in names and HISTORY in names else None
        found = lesson_of(run, place=f"{file}:{run.number}", listens=listens)
        hashes = frozenset(spec.schema_hash for spec in found.tools)
        if hashes not in asked:
            asked.add(hashes)
            early.update(early_by(judge_for(found.tools), found.tools))
        if SNIFFER in names and phrases:
            said.read(run, place=f"{file}:{run.number}")
        return found

    here: dict[tuple[Path, int], list[RecordedRun]] = defaultdict(list)
    for file, run in kept:
        here[file, run.number].append(run)
    others = [(file, run) for file, run in more if run not in here[file, run.number]]
    trainings = Trainings([lesson(one) for one in kept], [lesson(one) for one in others], early)
    for part in trainings.parts:
        mine = [one for one in kept if one[1].task_id in part]
        if mine:
            patterns = trainings.without(part, tell) if HISTORY in names else None
            triggers = said.without(part) if SNIFFER in names and phrases else None
            streams: dict[Hashable, Stream] = {}
            for one in mine:
                yield (
                    one,
                    Cast(
                        patterns=patterns,
                        early=early,
                        agent=one[1].model,
                        triggers=triggers,
                        streams=streams,
                    ),
                )
