"""What speaks for and against each call of a tool's pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import ne

from specflow.prediction.history.dialogue import USER, Args, Dialogue
from specflow.prediction.history.fits import NO_FIT, Fit, fits_of
from specflow.prediction.history.keys import Key
from specflow.prediction.history.looks import look
from specflow.prediction.history.pool import Pooled
from specflow.prediction.history.standing import NEVER, Standing
from specflow.prediction.history.traits import age_step, log_step, small

EMPTY = 4
"""Characters of a result that holds nothing."""

SPEAKS = "speaks"
"""In the place of what came of looking: the user has just spoken."""

LATEST = frozenset(("last", "latest", "newest", "recent"))
"""Words by which people say that they mean the end of a list."""

_NOTHING = (0, 0, 0, 0, 4)
"""The fields where nothing of it was said."""


@dataclass(slots=True)
class _Now:
    """What is the same for all calls of the pool: the last event and whether it was the user, or this tool;
    the tool's last arguments, and whether the user ever said them (0 none, 1 some, 2 all); those that another
    tool was `just_asked` in this turn, and whether that found nothing; the first call of the turn before, and
    the one at this place in it; the records that new calls are from; what came of looking for what the user
    named, and whether the user speaks of the latest.
    """

    last: str
    from_user: bool
    just: bool
    previous: Args | None
    previous_said: int
    just_asked: Args | None
    found_nothing: bool
    begun: tuple[str, Args] | None
    parallel: tuple[str, Args] | None
    turns: Sequence[int]
    seek: str
    latest: bool


def of_calls(
    dialogue: Dialogue, tool: str, pooled: Sequence[Pooled], fresh: Sequence[bool]
) -> list[list[Key]]:
    """The keys of the traits of each call of the pool, in its order; `fresh` are those not made before."""
    standing, now = Standing(dialogue, tool), _now(dialogue, tool, pooled, fresh)
    parts = [standing.of(one) for one in pooled]
    fits = _Fits(fits_of(dialogue, parts), fresh)
    last, from_user, just = now.last, now.from_user, now.just
    total, seen_fresh, top, only = sum(fresh), 0, pooled[0].prior or 1.0, len(pooled) == 1
    total_two, total_four, run = small(total, 2), small(total, 4), small(dialogue.run) if just else 0
    left = 0
    if now.previous is not None:
        # New calls of which the user said everything.
        rows = zip(pooled, parts, fresh, strict=True)
        left = small(sum([new and part.everywhere == len(one.args) for one, part, new in rows]), 2)
    found: list[list[Key]] = []
    said_order = sorted({part.said_at for part, new in zip(parts, fresh, strict=True) if new} - {-1})
    for rank, (one, part, fit, new) in enumerate(zip(pooled, parts, fits.fits, fresh, strict=True)):
        args, n, ahead = one.args, len(one.args), one.ahead
        user, everywhere, model, used, newest, first, oldest, place, tail, after, _, _, own, foreign, spot = (
            part
        )
        own = _share(own, n)
        user, everywhere, model = _share(user, n), _share(everywhere, n), _share(model, n)
        newest, first, oldest = age_step(newest), age_step(first), age_step(oldest)
        again = 0 if new else small(dialogue.times[tool, args])
        place, tail = small(place, 4), small(tail, 4)
        if one.joined and ahead:
            # What goes through records goes through them as through a list of values.
            after = ahead == 1
        keys: list[Key] = [
            ("again", again, last, first, small(rank, 6)),
            ("prior", log_step(one.prior), log_step(one.prior / top)),
            (
                "heard",
                user,
                everywhere,
                model,
                newest,
                oldest,
                first,
                again,
                from_user,
                total_two,
                own,
                small(foreign, 2),
                small(n),
            ),
            (
                "place",
                place,
                tail,
                after,
                again,
                just,
                ahead and max(-1, min(2, ahead)),
                run,
                now.seek,
                now.latest,
            ),
            (
                "about",
                *(fits.of(fit, new) if fit is not NO_FIT else _NOTHING),
                small(place),
                not new,
                from_user,
            ),
            ("made", small(seen_fresh, 4) if new else 9, total_four, last, one.joined, used, n, only),
        ]
        seen_fresh += new
        if new and spot >= 0:
            keys.append(("nth", small(said_order.index(spot)), small(len(said_order)), from_user))
        if n:
            keys.append(("via", *[name for name, _ in args], *one.paths))
        if new and one.turn >= 0:
            turn, turns = now.turns.index(one.turn), len(now.turns)
            keys.append(("turn", small(turn, 4), small(turns, 4), small(turns - 1 - turn), just))
        if now.previous is not None and len(now.previous) == n:
            changed = sum(map(ne, now.previous, args))
            keys.append(("changed", changed, just, now.previous_said, everywhere, left, again))
        if now.just_asked is not None:
            keys.append(("alike", args == now.just_asked, now.found_nothing, not new))
        if not new:
            call, ago = (tool, args), age_step(dialogue.step - dialogue.made[tool, args])
            keys.append(("ago", ago, from_user, now.begun == call, now.parallel == call, again))
        found.append(keys)
    return found


def _said(dialogue: Dialogue, args: Args) -> int:
    """Whether the user ever said these values: 0 none of them, 1 some, 2 all."""
    return _share(sum([look(dialogue, value).everywhere for _, value in args]), len(args))


def _now(dialogue: Dialogue, tool: str, pooled: Sequence[Pooled], fresh: Sequence[bool]) -> _Now:
    last, rounds, calls = dialogue.events[-1], dialogue.rounds, dialogue.calls.get(tool)
    at, other = len(rounds[-1]), rounds[-1][-1] if rounds[-1] else None
    before = rounds[-2] if len(rounds) > 1 else []
    previous = calls[-1] if calls else None
    return _Now(
        last=last,
        from_user=last == USER,
        just=last.rstrip("!") == tool,
        previous=previous,
        previous_said=_said(dialogue, previous or ()),
        just_asked=other[1] if other is not None and other[0] != tool else None,
        found_nothing=dialogue.result_size <= EMPTY,
        begun=before[0] if before else None,
        parallel=before[at] if len(before) > at else None,
        turns=sorted({one.turn for one, new in zip(pooled, fresh, strict=True) if new and one.turn >= 0}),
        seek=SPEAKS if last == USER else dialogue.sought.state,
        latest=not LATEST.isdisjoint(dialogue.all_user_words),
    )


class _Fits:
    """How each call fits what was said, beside the others."""

    def __init__(self, fits: Sequence[Fit], fresh: Sequence[bool]) -> None:
        nows, evers = [fit.now for fit in fits], [fit.ever for fit in fits]
        self.fits = fits
        self._now, self._ever = max(nows), max(evers)
        self._alone_now, self._alone_ever = nows.count(self._now) == 1, evers.count(self._ever) == 1
        self._model, self._title = max([fit.model for fit in fits]), max([fit.title for fit in fits])
        self._mentioned = sorted({fit.said_at for fit, new in zip(fits, fresh, strict=True) if new})

    def of(self, fit: Fit, new: bool) -> tuple[int, int, int, int, int]:
        """Fields of the key `about`."""
        return (
            _rank(fit.now, self._now, self._alone_now),
            _rank(fit.ever, self._ever, self._alone_ever),
            _rank(fit.model, self._model, False),
            _titled(fit.title, self._title),
            small(self._mentioned.index(fit.said_at)) if new and fit.said_at < NEVER else 4,
        )


def _share(part: int, whole: int) -> int:
    return 0 if not part else 2 if part == whole else 1


def _rank(points: float, best: float, alone: bool) -> int:
    if not points:
        return 0
    return -1 if points < best else 2 if alone else 1


def _titled(title: float, best: float) -> int:
    return 0 if not title else (2 if title == 1 else 1) + (2 if title == best else 0)
