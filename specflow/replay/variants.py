"""Every run replayed in every variant, and added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError
from specflow.policy.settings import Judge
from specflow.replay import ask, summary
from specflow.replay.adds import added, others
from specflow.replay.cast import Cast
from specflow.replay.latency import RECORDED, Latency, latency
from specflow.replay.recorded_times import RecordedTimes
from specflow.replay.shares import shares
from specflow.replay.summary import Summary
from specflow.replay.variant import Variant
from specflow.traces.recorded import RecordedRun

ADOPTED = ("hit", "late")
ANSWERED = ("hit", "late", "miss", "stale")


@dataclass(slots=True, kw_only=True)
class Replays:
    """Replays one run after the other; the first of `variants` is the one that counts.

    `sets` are the variants of all predictors and of single ones; with them, what each adds to the others is
    found out as well. `speed` is as for `play`. Without `plays` predictors are only asked. `times` are needed
    where a variant's tools take the time of the record (`by_the_record`).
    """

    judge_for: Callable[[ToolRegistry], Judge]
    variants: Sequence[Variant]
    sets: Sequence[Variant] = ()
    speed: float | None = None
    plays: bool = True
    times: RecordedTimes | None = None
    by_variant: dict[Variant, Summary] = field(default_factory=dict)
    by_model: dict[str, Summary] = field(default_factory=dict)

    @property
    def total(self) -> Summary:
        """What counts, so far."""
        return self.by_variant.setdefault(self.variants[0], Summary())

    @property
    def others(self) -> Mapping[str, Variant]:
        """For each predictor, the variant without it."""
        return others(self.variants[0]) if self.sets else {}

    @property
    def by_the_record(self) -> bool:
        """Whether anything is played in which tools take the time of the record."""
        return self.plays and any(one.takes == RECORDED for one in (*self.variants, *self.sets))

    def add(self, run: RecordedRun, cast: Cast, *, place: str) -> None:
        """Replay a run in every variant; an interruption leaves it out of all of them.

        Raises:
            RecordingError: it cannot be played; `place` says where it stands.
        """
        main = self.variants[0]
        if not self.plays:
            asked = cast.fresh(main.predictors)
            stream = cast.stream(main, asked)
            self.total.include(
                ask.score_run(run, judge_for=self.judge_for, predictors=asked, stream=stream, place=place)
            )
            return
        every = list(dict.fromkeys([*self.variants, *self.sets, *self.others.values()]))
        found = {variant: self._replay(run, variant, cast, place) for variant in every}
        for variant, one in found.items():
            self.by_variant.setdefault(variant, Summary()).include(one)
        self.by_model.setdefault(run.model or "unknown", Summary()).include(found[main])

    def _replay(self, run: RecordedRun, variant: Variant, cast: Cast, place: str) -> Summary:
        predictors = cast.fresh(variant.predictors)
        return summary.replay_run(
            run,
            Summary(),
            judge_for=self.judge_for,
            predictors=predictors,
            latency=self._latency(variant),
            threshold=variant.threshold,
            user_takes=variant.user_takes,
            shuffle=variant.shuffle,
            speed=self.speed,
            stream=cast.stream(variant, predictors),
            place=place,
        )

    def _latency(self, variant: Variant) -> Latency | RecordedTimes:
        if variant.takes != RECORDED:
            return latency(variant.takes)
        if self.times is None:
            raise ConfigurationError("nothing is known of how long the tools of the record took")
        return self.times

    def as_json(self) -> dict[str, Any]:
        """The shape programs rely on."""
        found = self.total.as_json(whole=True)
        spread = self.total.spread
        found["shares"] = shares(spread)
        found["intervals"] = {**spread.amounts(), **spread.misfires(), "latency": spread.latency()}
        found["models"] = {name: one.as_json() for name, one in sorted(self.by_model.items())}
        if self.sets:
            found["by_predictor_set"] = [
                {
                    "set": list(one.predictors),
                    **self.by_variant[one].as_json(),
                    "intervals": self.by_variant[one].spread.amounts(),
                }
                for one in self.sets
                if one in self.by_variant
            ]
        whole = self.by_variant.get(self.variants[0], Summary()).spread
        rest = {
            name: self.by_variant[one].spread for name, one in self.others.items() if one in self.by_variant
        }
        if rest:
            found["adds"] = {name: added(whole, spread) for name, spread in rest.items()}
        more = [one for one in self.variants[1:] if one in self.by_variant]
        if any(one.sweep for one in self.variants):
            found["sweep"] = [
                {"sweep": one.sweep, "value": one.value, **self._short(one)} for one in more if one.sweep
            ]
        shuffled = next((one for one in more if one.shuffle is not None), None)
        if shuffled is not None:
            found["shuffled"] = {"seed": shuffled.shuffle, **self._short(shuffled)}
        return found

    def _short(self, variant: Variant) -> dict[str, Any]:
        found = self.by_variant[variant]
        more = {"shares": shares(found.spread), "intervals": found.spread.amounts()}
        return {**short(found.as_json()), **more}


def short(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a sweep: the summary, with the shares that a threshold trades against each other.

    `precision` is the share of the early calls that were adopted, `recall` that of the calls that may run
    early whose early twin was.
    """
    ends = row["outcomes"]
    adopted, answered = sum(ends[end] for end in ADOPTED), sum(ends[end] for end in ANSWERED)
    return {
        **row,
        "hits": adopted,
        "precision": round(adopted / row["launched"], 4) if row["launched"] else 0.0,
        "recall": round(adopted / answered, 4) if answered else 0.0,
    }
