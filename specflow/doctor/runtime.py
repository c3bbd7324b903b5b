"""A runtime: its mode, and who guesses."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.graph.remark import Level, Remark
from specflow.speculation.parts import Mode, Parts

AREA = "runtime"


def of_parts(parts: Parts) -> Iterator[Remark]:
    """All of it but the policy, the tools and the journal."""
    yield _mode(parts)
    names = ", ".join(predictor.name for predictor in parts.predictors)
    if names:
        yield Remark(area=AREA, subject="predictors", found=names)
    else:
        yield Remark(
            area=AREA,
            subject="predictors",
            level=Level.WARNING,
            found="none: nobody guesses the model's calls",
            mend="leave predictors= out for the two usual ones",
        )
    guessers = ", ".join(guesser.name for guesser in parts.result_guessers)
    yield Remark(
        area=AREA,
        subject="result guessers",
        found=guessers or "none: what follows a pending call starts when it has returned",
    )


def _mode(parts: Parts) -> Remark:
    if parts.canary is not None:
        return Remark(
            area=AREA,
            subject="mode",
            found=f"canary: {parts.canary.share:.0%} of conversations are run ahead of, the others watched",
        )
    if parts.mode is Mode.ON:
        return Remark(area=AREA, subject="mode", found="on")
    found = {
        Mode.OFF: "off: everything passes through as if specflow were not there",
        Mode.SHADOW: "shadow: nothing runs early; spans and the report say what would have",
    }[parts.mode]
    return Remark(area=AREA, subject="mode", level=Level.WARNING, found=found, mend='mode="on"')
