"""What a replay plays: the variants that were asked for, over all runs, until somebody interrupts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from specflow.cli.replay_runs import progress

if TYPE_CHECKING:
    from specflow.replay.cast import Placed
    from specflow.replay.variant import Variant
    from specflow.replay.variants import Replays


def variants_of(
    names: Sequence[str], takes: str, user_takes: str | None, sweeps: Sequence[str], shuffle: int | None
) -> list[Variant]:
    """What is replayed: first what counts, then the rows of the sweeps, then the shuffled words.

    Raises:
        ConfigurationError: a latency, a user's time or a sweep means nothing.
    """
    from specflow.replay.latency import checked, seconds
    from specflow.replay.variant import Variant, swept

    # What is no latency is said before the first run is read.
    waits = None if user_takes is None else seconds(user_takes)
    main = Variant(predictors=tuple(names), takes=checked(takes), user_takes=waits)
    mixed = [] if shuffle is None else [replace(main, shuffle=shuffle)]
    return [main, *swept(main, sweeps), *mixed]


def played(replays: Replays, runs: Iterable[Placed], more: Iterable[Placed], *, phrases: bool = True) -> bool:
    """Replay the runs, and say on a terminal how far it has come. False: it was interrupted.

    `phrases`: the sniffer learns words of announcements from the runs of other tasks.

    Raises:
        RecordingError: a run cannot be used.
        ConfigurationError: tools are to take the time of the record, and no run has one.
    """
    from specflow.replay.cast import HISTORY, casts
    from specflow.replay.recorded_times import recorded_times

    names = replays.variants[0].predictors
    with progress() as tell:
        try:
            if HISTORY in names or replays.by_the_record:
                runs = list(runs)  # what is learned, and what tools usually take, is in all of them
            if replays.by_the_record and runs:
                replays.times = recorded_times(run for _, run in runs)
            known = len(runs) if isinstance(runs, list) else None
            cast = casts(runs, more, names=names, judge_for=replays.judge_for, phrases=phrases, tell=tell)
            for done, ((file, run), who) in enumerate(cast):
                tell(f"replaying {run.model}, task {run.task_id}", done, known)
                replays.add(run, who, place=f"{file}:{run.number}")
        except KeyboardInterrupt:
            return False
    return True
