"""Every crash: the run killed at every point, and its recovery killed at every point of the recovery."""

from __future__ import annotations

import collections
import queue
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from specflow.errors import ConfigurationError, SpecflowError
from specflow.testing.crash import CrashPoint, CrashScenario, CrashServer, Trial

CrashPath = tuple[CrashPoint | None, ...]


class CrashFailedError(SpecflowError, AssertionError):
    """A scenario does not survive a crash; lists each failing path with how to repeat it."""

    code = "crash_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashFailure:
    """A path after which recovery or the check failed."""

    path: CrashPath
    error: str
    scenario: CrashScenario

    @property
    def repeat(self) -> str:
        """Python that runs exactly this path again."""
        names = ", ".join("None" if crash is None else repr(str(crash)) for crash in self.path)
        return f"CrashServer({self.scenario!r}).trial({names})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """What a matrix did.

    `by_depth` counts trials by the number of crashes in them, `crashed` how often a process died at each
    point. `missed` lists paths with a crash that never came: the scenario went another way than in the run
    that listed its points (threads, real time, randomness).
    """

    trials: int
    by_depth: Mapping[int, int]
    crashed: Mapping[str, int]
    failures: tuple[CrashFailure, ...]
    missed: tuple[CrashPath, ...]

    def assert_clean(self, *, visited: Iterable[str] = (), allow_missed: bool = False) -> None:
        """Raise unless every trial passed, every crash came, and a process died at each point of `visited`.

        Raises:
            CrashFailedError: with the first failures in full and the number of the others.
        """
        if self.failures:
            shown = "\n\n".join(f"{failure.repeat}\n{failure.error}" for failure in self.failures[:3])
            raise CrashFailedError(
                f"{len(self.failures)} of {self.trials} trials failed; to repeat the first:\n{shown}",
                failures=self.failures,
            )
        if self.missed and not allow_missed:
            first = " then ".join(map(str, self.missed[0]))
            raise CrashFailedError(
                f"in {len(self.missed)} of {self.trials} trials a crash never came, first: {first}",
                hint="make the scenario deterministic, or say allow_missed=True",
            )
        absent = sorted(set(visited) - set(self.crashed))
        if absent:
            raise CrashFailedError(f"the scenario never reached {', '.join(absent)}")


def crash_matrix(
    scenario: CrashScenario,
    *,
    depth: int = 2,
    samples: int = 0,
    seed: int = 0,
    timeout: float = 30.0,
    directory: str | None = None,
    stop_after: int = 20,
    workers: int = 1,
    on_trial: Callable[[Trial], None] | None = None,
) -> CrashReport:
    """Run every path of at most `depth` crashes, and `samples` of the paths with one more, drawn with `seed`.

    A first trial without a crash lists the points of the run and of a recovery after it; every later trial
    lists the points of its last recovery, which are the next crashes. With depth 2 that is every crash point
    of the run times every crash point of the recovery it leads to. `stop_after` failures end it (0: none do).
    `workers` fork servers share the trials; the report is the same for any number of them.

    Raises:
        CrashFailedError: when the scenario fails without any crash, or reaches no point at all.
        CrashServerError: when the scenario cannot be imported.
    """
    if depth < 1 or samples < 0 or workers < 1:
        raise ConfigurationError("depth and workers must be at least 1, samples not negative")
    with ExitStack() as stack:
        servers: queue.SimpleQueue[CrashServer] = queue.SimpleQueue()
        for _ in range(workers):
            servers.put(stack.enter_context(CrashServer(scenario, timeout=timeout, directory=directory)))

        def run(path: CrashPath) -> Trial:
            server = servers.get()
            try:
                return server.trial(*path)
            finally:
                servers.put(server)

        calm = run(())
        if calm.error:
            raise CrashFailedError(f"the scenario fails without any crash: {calm.error}")
        tally = _Tally(scenario, stop_after=stop_after)
        level: list[CrashPath] = [(point,) for point in calm.stages[0].points]
        level += [(None, point) for point in calm.recovery]
        if not level:
            raise CrashFailedError(
                "the scenario reaches no point",
                hint="call specflow.probe.reach, or run code of specflow that does",
            )
        for _ in range(depth):
            level = _deeper(_trials(run, level, tally, workers), on_trial)
        draw = random.Random(seed)  # noqa: S311 - must be repeatable
        _deeper(_trials(run, draw.sample(level, min(samples, len(level))), tally, workers), on_trial)
    return tally.report()


def _deeper(trials: Iterable[Trial], on_trial: Callable[[Trial], None] | None) -> list[CrashPath]:
    """Every path that is one crash longer than one of these trials."""
    longer: list[CrashPath] = []
    for trial in trials:
        if not trial.missed:  # else it is the path of another trial
            longer += [(*trial.crashes, point) for point in trial.recovery]
        if on_trial is not None:
            on_trial(trial)
    return longer


def _trials(
    run: Callable[[CrashPath], Trial], paths: Iterable[CrashPath], tally: _Tally, workers: int
) -> Iterator[Trial]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="crash-matrix")
    try:
        for trial in pool.map(run, paths):
            if tally.full:
                return
            tally.add(trial)
            yield trial
    finally:
        pool.shutdown(cancel_futures=True)


class _Tally:
    def __init__(self, scenario: CrashScenario, *, stop_after: int) -> None:
        self._scenario = scenario
        self._stop_after = stop_after
        self._by_depth: collections.Counter[int] = collections.Counter()
        self._crashed: collections.Counter[str] = collections.Counter()
        self._failures: list[CrashFailure] = []
        self._missed: list[CrashPath] = []

    @property
    def full(self) -> bool:
        return 0 < self._stop_after <= len(self._failures)

    def add(self, trial: Trial) -> None:
        self._by_depth[sum(crash is not None for crash in trial.crashes)] += 1
        self._crashed.update(stage.crash.name for stage in trial.stages if stage.killed and stage.crash)
        if trial.missed:
            self._missed.append(trial.crashes)
        if trial.error:
            self._failures.append(
                CrashFailure(path=trial.crashes, error=trial.error, scenario=self._scenario)
            )

    def report(self) -> CrashReport:
        return CrashReport(
            trials=self._by_depth.total(),
            by_depth=dict(sorted(self._by_depth.items())),
            crashed=dict(sorted(self._crashed.items())),
            failures=tuple(self._failures),
            missed=tuple(self._missed),
        )
